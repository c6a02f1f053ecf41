"""The gateway's picture of the directory: what a key needs to be a caller, and what a change lets go of."""

import msgspec

from common.contracts.directory import key_entry, organization_entry
from gateway.domain.caller import Caller
from gateway.domain.directory_view import DirectoryView
from gateway.domain.joined_callers import JoinedCallers
from tests.unit.gateway.directory_makers import (
    MEMBER,
    declare,
    entry_of,
    fresh_plaintext,
    full_view,
    key_record,
    member_record,
    organization_record,
    project_record,
    put,
)

OWNED = {"owner_kind": "member", "owner_id": MEMBER}


def kept(view: DirectoryView, lookup: str) -> Caller:
    """The caller, joined and kept as after its first request."""
    caller = view.join(lookup)
    assert caller is not None
    return view.keep(caller)


def test_a_key_lives_only_with_its_owner() -> None:
    """Suspended it is closed, taken up again it opens, gone for good it is closed; a key without an owner does not mind."""
    owned, free = key_record(fresh_plaintext(), **OWNED), key_record(fresh_plaintext(), owner_id=MEMBER)
    view = full_view(owned, free)
    for version, status in ((2, "suspended"), (3, "active"), (4, "revoked")):
        put(view, member_record(version=version, status=status))
        caller, other = view.join(owned.lookup), view.join(free.lookup)
        assert caller is not None
        assert other is not None
        assert caller.is_live(0) == (status == "active")
        assert other.is_live(0)


def test_a_key_whose_owner_is_not_known_is_not_known() -> None:
    """As with a project that is not there: whoever asks may not be told anything of it yet."""
    elsewhere = member_record(organization_id="another")
    key = key_record(fresh_plaintext(), **OWNED)
    view = DirectoryView()
    put(view, organization_record(), project_record(), elsewhere, key)
    assert view.join(key.lookup) is None
    put(view, member_record())
    assert view.join(key.lookup) is not None


def test_a_directory_without_its_members_is_not_complete() -> None:
    """The manifest counts them; one from before there were any counts none."""
    view = DirectoryView()
    put(view, organization_record())
    declare(view, organizations=1, members=1)
    assert not view.complete
    put(view, member_record())
    assert view.complete
    old = DirectoryView()
    old.apply("manifest", b'{"generation":1,"keys":0,"projects":0,"organizations":0,"published_at":0}')
    assert old.complete


def test_a_change_lets_go_of_those_it_concerns_and_of_them_alone() -> None:
    """Callers of other owners, projects and organizations stay at hand: their next request costs nothing more."""
    mine = key_record(fresh_plaintext(), **OWNED)
    other = key_record(fresh_plaintext(), project_id="p2", organization_id="o2", owner_kind="service_account", owner_id="m2")
    view = full_view(mine, other)
    put(
        view,
        organization_record(organization_id="o2"),
        project_record(project_id="p2", organization_id="o2"),
        member_record(member_id="m2", organization_id="o2", kind="service_account"),
    )
    untouched = kept(view, other.lookup)
    changes = (
        member_record(version=2),
        project_record(version=2),
        organization_record(version=2),
        key_record(fresh_plaintext(), lookup=mine.lookup, version=2, **OWNED),
    )
    for change in changes:
        before = kept(view, mine.lookup)
        put(view, change)
        assert view.at_hand(mine.lookup) is None, change
        assert kept(view, mine.lookup) is not before
        assert view.at_hand(other.lookup) is untouched


def test_what_is_kept_is_bounded_and_what_is_used_stays() -> None:
    """Two generations: the one that is asked for is carried into the next, the others are let go; changes reach both."""
    keys = [key_record(fresh_plaintext(), **OWNED) for _ in range(6)]
    view = DirectoryView(JoinedCallers(most=2))
    put(view, organization_record(), project_record(), member_record(), *keys)
    first = kept(view, keys[0].lookup)
    for key in keys[1:]:
        kept(view, key.lookup)
        assert view.at_hand(keys[0].lookup) is first
    assert sum(view.at_hand(key.lookup) is not None for key in keys) <= 4
    put(view, member_record(version=2))
    assert [key for key in keys if view.at_hand(key.lookup) is not None] == []


def test_an_older_or_repeated_record_changes_nothing() -> None:
    """Whatever order they come in, the highest version stands."""
    key = key_record(fresh_plaintext(), version=3, status="revoked")
    view = full_view(key)
    changes = view.changes
    put(view, key_record(fresh_plaintext(), lookup=key.lookup, version=2), key)
    assert view.key(key.lookup) == key
    assert view.changes == changes
    assert view.count("key") == 1


def test_what_cannot_be_read_is_passed_over() -> None:
    """The older record stays in force, and a record under a foreign name counts for neither."""
    key = key_record(fresh_plaintext())
    view = full_view(key)
    newer = key_record(fresh_plaintext(), lookup=key.lookup, version=2)
    for entry, body in (
        (entry_of(key), b"{"),
        (entry_of(key), b'{"key_id":"\xff"}'),
        (entry_of(key), b"[" * 10_000),
        (key_entry("somebody"), msgspec.json.encode(newer)),
        (organization_entry("foreign"), msgspec.json.encode(newer)),
        ("planet.earth", b"{}"),
    ):
        assert view.apply(entry, body) is None
    assert view.refused == 6
    assert view.key(key.lookup) == key
    assert not view.knows(key_entry("somebody"))


def test_a_saved_view_is_one_line_an_entry() -> None:
    """A record that came with line breaks is kept without them."""
    view = DirectoryView()
    pretty = msgspec.json.format(msgspec.json.encode(member_record()), indent=2)
    view.apply(entry_of(member_record()), pretty)
    assert all(b"\n" not in body for body in view.snapshot().values())
    assert view.knows(entry_of(member_record()))
