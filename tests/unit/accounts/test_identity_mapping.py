"""Which membership follows from domain and groups: laws that hold for every history of sign-ins and changes by hand."""

from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.identity_mapping import MappedRole, Standing, domain_of, next_standing, role_by_mapping
from common.contracts.roles import PERMISSIONS, Role

mapped_roles = st.sampled_from(get_args(MappedRole))
wanted_roles = st.none() | mapped_roles
standings = st.builds(
    Standing,
    st.sampled_from(get_args(Role)),
    st.sampled_from(["active", "suspended", "ended"]),
    st.none() | mapped_roles | st.just("none"),
)


@dataclass(frozen=True)
class ByHand:
    """What somebody makes of a membership without the mapping."""

    role: Role
    status: str


def after_sign_in(present: Standing | None, wanted: MappedRole | None) -> Standing | None:
    """What is there after a sign-in."""
    return next_standing(present, wanted) or present


@given(standings, wanted_roles)
def test_owners_are_beyond_the_mapping(present: Standing, wanted: MappedRole | None):
    """No sign-in changes an owner, and none makes one."""
    after = after_sign_in(present, wanted)
    assert (after.role == "owner") == (present.role == "owner")
    if present.role == "owner":
        assert after == present


@given(st.none() | standings, wanted_roles)
def test_signing_in_twice_is_signing_in_once(present: Standing | None, wanted: MappedRole | None):
    """The second of two equal sign-ins changes nothing."""
    once = after_sign_in(present, wanted)
    assert next_standing(once, wanted) is None


@given(standings.filter(lambda standing: standing.status == "ended"), wanted_roles)
def test_who_was_removed_does_not_come_back(present: Standing, wanted: MappedRole | None):
    """An end by hand is an end, whatever the provider says."""
    assert next_standing(present, wanted) is None


@given(st.lists(wanted_roles, min_size=1, max_size=8))
def test_a_membership_made_by_the_mapping_follows_it(history: list[MappedRole | None]):
    """Left alone, it is at every sign-in what the mapping yields, and suspended while that is nothing."""
    present = None
    for wanted in history:
        present = after_sign_in(present, wanted)
        if wanted is not None:
            assert (present.role, present.status) == (wanted, "active")
        else:
            assert present is None or present.status == "suspended"


@given(st.lists(wanted_roles, max_size=4), st.builds(ByHand, mapped_roles, st.sampled_from(["active", "suspended"])), st.data())
def test_what_was_changed_by_hand_stays(history: list[MappedRole | None], change: ByHand, data: st.DataObject):
    """After another role, a suspension or a reinstatement by hand no sign-in changes anything that yields another role."""
    present = None
    for wanted in history:
        present = after_sign_in(present, wanted)
    mapped_role = None if present is None else present.mapped_role
    before = None if present is None else (present.role, present.status)
    by_hand = Standing(change.role, change.status, mapped_role)
    changed = before is None or change.status != before[1] or (change.status == "active" and change.role != before[0])
    later = data.draw(wanted_roles)
    if changed and later != change.role:
        assert next_standing(by_hand, later) is None


def test_by_hand_it_is_given_back_to_the_mapping():
    """Made equal to what the mapping yields, a membership follows it again."""
    by_hand = Standing("developer", "active", None)
    assert next_standing(by_hand, "admin") is None
    given_back = next_standing(by_hand, "developer")
    assert given_back == Standing("developer", "active", "developer")
    assert next_standing(given_back, "viewer") == Standing("viewer", "active", "viewer")


@given(
    st.frozensets(st.text(max_size=3), max_size=6), st.dictionaries(st.text(max_size=3), mapped_roles, max_size=6), wanted_roles
)
def test_the_highest_role_of_the_groups_counts(
    groups: frozenset[str], group_roles: dict[str, MappedRole], default: MappedRole | None
):
    """And the domain's default only when no group matches."""
    role = role_by_mapping(groups, group_roles, default)
    matching = [group_roles[group] for group in groups & group_roles.keys()]
    order = list(get_args(MappedRole))
    assert role == (min(matching, key=order.index) if matching else default)
    assert role != "owner"


def test_the_order_of_roles_is_one_of_permissions():
    """Nothing that is lower has what a higher one of the same line lacks; the first has all that the others have."""
    highest = PERMISSIONS[get_args(MappedRole)[0]]
    assert all(PERMISSIONS[role] <= highest for role in get_args(MappedRole))


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("ada@Example.COM", "example.com"),
        ("a.b+c@mail.example.co", "mail.example.co"),
        ("ada@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("ada@evil.test@example.com", None),
        ("ada", None),
        ("@example.com", None),
        ("ada@", None),
        ("ada@localhost", None),
        ("ada@example.com\n", None),
        ("a da@example.com", None),
        ("ada@example.com.", None),
        ("ada@-example.com", None),
        ("ada@exämple.com", None),
        ("a" * 65 + "@example.com", None),
    ],
)
def test_only_plain_addresses_have_a_domain(email: str, domain: str | None):
    """What two systems could read differently counts for nobody."""
    assert domain_of(email) == domain
