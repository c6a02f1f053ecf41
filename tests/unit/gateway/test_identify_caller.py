"""Who may pass: one refusal for every cause, proofs that end with what they prove, and no wrong 401."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.directory import KeyRecord, KeySecret
from gateway.domain.directory_view import DirectoryView
from gateway.domain.refusals import DirectoryUnavailable, InvalidKey
from gateway.use_cases.identify_caller import IdentifyCaller
from tests.unit.gateway.directory_makers import (
    MEMBER,
    PEPPERS,
    StandingFeed,
    another_secret,
    declare,
    fresh_plaintext,
    full_view,
    key_record,
    member_record,
    organization_record,
    project_record,
    put,
    secret_of,
)

HOUR = 3_600_000


class Clock:
    """Stands until it is set; milliseconds."""

    def __init__(self, moment: int) -> None:
        self.moment = moment

    def __call__(self) -> int:
        return self.moment * 1_000_000


def identify_by(view: DirectoryView, feed: StandingFeed | None = None, clock: Clock | None = None) -> IdentifyCaller:
    return IdentifyCaller(view, feed or StandingFeed(), PEPPERS, clock or time.time_ns)  # type: ignore[arg-type] # a feed of ours


def passes(identify: IdentifyCaller, plaintext: str) -> bool:
    try:
        identify(plaintext)
    except InvalidKey:
        return False
    return True


def now() -> int:
    return time.time_ns() // 1_000_000


CLOSED = {
    "revoked": {"status": "revoked"},
    "suspended": {"status": "suspended"},
    "expired": {"expires_at": 1},
    "without a secret": {"secrets": ()},
    "of an unknown pepper": {"secrets": (KeySecret(pepper_version=7, digest="0" * 64),)},
}


@pytest.mark.parametrize("cause", CLOSED)
def test_every_cause_is_the_same_refusal(cause: str) -> None:
    """Revoked, suspended, expired, wrong or unknown: nobody learns which."""
    plaintext = fresh_plaintext()
    identify = identify_by(full_view(key_record(plaintext, **CLOSED[cause])))
    told = []
    for asked in (plaintext, fresh_plaintext(), another_secret(plaintext), "sk-nonsense", ""):
        with pytest.raises(InvalidKey) as refused:
            identify(asked)
        told.append((refused.value.status, refused.value.message, refused.value.code, refused.value.members))
    assert set(map(str, told)) == {str(told[0])}


@pytest.mark.parametrize(
    "closing",
    [
        project_record(version=2, status="suspended"),
        organization_record(version=2, status="suspended"),
        member_record(version=2, status="suspended"),
        member_record(version=2, status="revoked"),
    ],
)
def test_a_proven_key_closes_with_what_it_belongs_to(closing: object) -> None:
    """Its proof is worth nothing from the moment of the change."""
    plaintext = fresh_plaintext()
    view = full_view(key_record(plaintext, owner_kind="member", owner_id=MEMBER))
    identify = identify_by(view)
    caller = identify(plaintext)
    assert identify(plaintext) is caller
    put(view, closing)  # type: ignore[arg-type]
    assert not passes(identify, plaintext)
    assert not identify.still_valid(caller)


def test_an_unknown_owner_is_an_unknown_key() -> None:
    """401 by a complete directory, 503 by one that may lack the owner yet."""
    plaintext = fresh_plaintext()
    view = full_view(key_record(plaintext, owner_kind="service_account", owner_id="nobody"))
    identify = identify_by(view)
    with pytest.raises(InvalidKey):
        identify(plaintext)
    declare(view, keys=1, projects=1, organizations=1, members=2)
    with pytest.raises(DirectoryUnavailable):
        identify(plaintext)


def test_a_view_that_is_too_old_decides_nothing() -> None:
    """Known keys are refused with 503 after the organization's patience, unknown ones after seconds; nonsense is always 401."""
    plaintext = fresh_plaintext()
    feed = StandingFeed()
    identify = identify_by(full_view(key_record(plaintext)), feed)
    identify(plaintext)
    feed.fresh_at = time.monotonic() - 10
    identify(plaintext)
    with pytest.raises(DirectoryUnavailable):
        identify(fresh_plaintext())
    feed.fresh_at = time.monotonic() - 301
    with pytest.raises(DirectoryUnavailable):
        identify(plaintext)
    with pytest.raises(InvalidKey):
        identify("sk-nonsense")


def test_both_secrets_of_a_rotation_pass_and_share_a_caller() -> None:
    """During the overlap neither pushes the other's proof out; both are refused once the key is revoked."""
    old = fresh_plaintext()
    new = another_secret(old)
    during = key_record(old, version=2, secrets=(secret_of(old, now() + HOUR), secret_of(new)))
    view = full_view(key_record(old))
    identify = identify_by(view)
    identify(old)
    assert not passes(identify, new)
    put(view, during)
    assert identify(old) is identify(new) is identify(old)
    put(view, key_record(old, version=3, status="revoked", secrets=during.secrets))
    assert not passes(identify, old)
    assert not passes(identify, new)


def test_an_overlap_ends_by_the_clock() -> None:
    """The old secret's proof is not believed any longer than the secret itself, without any record saying so."""
    old = fresh_plaintext()
    new, clock = another_secret(old), Clock(HOUR - 1)
    identify = identify_by(full_view(key_record(old, secrets=(secret_of(old, HOUR), secret_of(new)))), clock=clock)
    assert passes(identify, old)
    assert passes(identify, new)
    clock.moment = HOUR
    assert not passes(identify, old)
    assert passes(identify, new)


MOMENTS = st.integers(0, 12)
SECRETS = [fresh_plaintext()]
SECRETS += [another_secret(SECRETS[0]) for _ in range(2)]


@st.composite
def records(draw: st.DrawFn) -> KeyRecord:
    """A version of one key: some of three secrets, each with or without an end."""
    chosen = draw(st.lists(st.sampled_from(SECRETS), unique=True, max_size=3))
    ends = [draw(st.none() | MOMENTS) for _ in chosen]
    return key_record(
        SECRETS[0],
        version=draw(st.integers(1, 6)),
        status=draw(st.sampled_from(["active", "active", "active", "suspended"])),
        expires_at=draw(st.none() | MOMENTS),
        secrets=tuple(map(secret_of, chosen, ends)),
    )


@given(st.lists(st.one_of(records(), st.sampled_from(SECRETS), MOMENTS), max_size=30))
def test_a_proof_says_what_comparing_anew_would_say(steps: list[KeyRecord | str | int]) -> None:
    """Whatever has been proven before: the answer is that of the newest record at this moment, not an older or a kinder one."""
    view, clock = full_view(), Clock(0)
    identify = identify_by(view, clock=clock)
    for step in steps:
        if isinstance(step, KeyRecord):
            put(view, step)
        elif isinstance(step, int):
            clock.moment = step
        else:
            anew = identify_by(view, clock=clock)
            assert passes(identify, step) == passes(anew, step) == _should_pass(view, step, clock.moment)


def _should_pass(view: DirectoryView, plaintext: str, moment: int) -> bool:
    record = view.key(key_record(SECRETS[0]).lookup)
    if record is None or record.status != "active" or (record.expires_at is not None and moment >= record.expires_at):
        return False
    digest = secret_of(plaintext).digest
    return any(it.digest == digest and (it.not_after is None or moment < it.not_after) for it in record.secrets)
