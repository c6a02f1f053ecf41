"""The budget arithmetic: examples, and the law that nothing a boot may spend was ever promised twice."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from common.contracts.grants import ScopeAnswer, ScopeAsk
from usage.domain.grants import Decision, Unit, decide
from usage.outbound.grants_store import ScopeBooks
from usage.use_cases.answer_grants import answer_scope

PLENTY = Unit(limit=None, believed=None)


def tokens(unit: Unit, *, active: int = 1, returning: bool = False) -> Decision:
    """Decide a unit beside one without a limit."""
    return decide((unit, PLENTY), active_gateways=active, returning=returning)


def test_far_from_the_limit_a_boot_gets_what_it_wants() -> None:
    """A comfortable pool gives the whole want."""
    assert tokens(Unit(limit=1_000_000, need=100, want=5_000), active=4).granted == (5_000, None)


def test_near_the_limit_increments_shrink_but_cover_the_need() -> None:
    """A small pool is shared by the living gateways, yet what fits is not refused."""
    assert tokens(Unit(limit=1_000, want=900), active=5).granted == (100, None)
    assert tokens(Unit(limit=1_000, need=700, want=900), active=5).granted == (700, None)


def test_nothing_is_raised_when_the_need_does_not_fit_in_one_unit() -> None:
    """Tokens fit, money does not: neither grant rises."""
    both = (Unit(limit=1_000, need=10, want=10), Unit(limit=5, need=10, want=10))
    assert decide(both, active_gateways=1, returning=False) == Decision("exhausted", (0, 0))


def test_a_limit_that_appears_later_counts_what_was_spent_before() -> None:
    """The grant starts from what the boot has settled and reserved; that part is not asked from the pool twice."""
    unit = Unit(limit=1_000, spent_total=500, granted=None, spent=500, settled=520, reserved=30, believed=0, need=600, want=600)
    assert tokens(unit).granted == (600, None)
    assert (
        tokens(Unit(limit=500, spent_total=500, granted=None, spent=500, settled=500, believed=0, need=501)).status == "exhausted"
    )


def test_a_lowered_limit_takes_nothing_back_but_gives_nothing_more() -> None:
    """Below what is committed every need is refused, and the grant stays."""
    unit = Unit(limit=100, spent_total=50, held_elsewhere=200, granted=40, believed=40, need=1)
    assert tokens(unit) == Decision("exhausted", (40, None))


def test_a_return_never_goes_below_what_is_spent_or_reserved() -> None:
    """A boot gives back its unspent grant, not more."""
    unit = Unit(limit=1_000, spent_total=80, granted=500, spent=80, settled=90, reserved=20, believed=60)
    assert tokens(unit, returning=True) == Decision("granted", (110, None))
    assert tokens(Unit(limit=1_000, granted=500, believed=900), returning=True).granted == (500, None)


@pytest.mark.parametrize("repeat", [1, 2, 5])
def test_a_need_is_counted_from_what_the_boot_believes(repeat: int) -> None:
    """When answers are lost, asking again for the same raises the grant once."""
    granted: int | None = 0
    for _ in range(repeat):
        granted = tokens(Unit(limit=1_000, granted=granted, believed=0, need=100, want=100)).granted[0]
    assert granted == 100


BOOKS = ScopeBooks(
    scope="project",
    scope_id="p",
    period="2026-11",
    spent_tokens=300,
    spent_nanousd=0,
    limit_version=1,
    limit_tokens=1_000,
    limit_nanousd=None,
    ask_seq=1,
    granted_tokens=600,
    granted_nanousd=None,
    boot_tokens=200,
    boot_nanousd=0,
    held_tokens=100,
    held_nanousd=0,
)


def ask_of(**changes: Any) -> ScopeAsk:
    """The second ask of a boot that was granted 600."""
    plain = ScopeAsk(scope="project", scope_id="p", period="2026-11", limit_version=1, seq=2, granted_nanousd=None)
    return structs.replace(plain, **changes)


def test_a_closed_boot_is_granted_nothing_where_there_is_a_limit() -> None:
    """So a boot that was released and comes back stops, whatever it was granted before; of its grant nothing counts as held."""
    answer, row = answer_scope(ask_of(granted_tokens=600), replace(BOOKS, boot_closed=True), None, active_gateways=1)
    assert (answer.status, answer.granted_tokens, answer.granted_nanousd) == ("closed", 0, None)
    assert (answer.used_tokens, answer.held_tokens, row) == (300, 100, None)
    unknown = replace(BOOKS, boot_closed=True, limit_version=None, limit_tokens=None)
    answer, _ = answer_scope(ask_of(), unknown, None, active_gateways=1)
    assert (answer.granted_tokens, answer.granted_nanousd) == (0, 0)


def test_a_return_that_cannot_be_decided_is_neither_stored_nor_undone() -> None:
    """The boot is told what it kept, not what the books still hold for it; those go on counting it as held."""
    stale = ask_of(limit_version=2, returning=True, granted_tokens=250)
    answer, row = answer_scope(stale, BOOKS, None, active_gateways=1)
    assert (answer.status, answer.granted_tokens, answer.held_tokens, row) == ("stale_limits", 250, 500, None)
    ahead = ask_of(limit_version=2, granted_tokens=250)
    assert answer_scope(ahead, BOOKS, None, active_gateways=1)[0].granted_tokens == 600
    never_asked = replace(BOOKS, ask_seq=None, granted_tokens=None)
    assert answer_scope(ahead, never_asked, None, active_gateways=1)[0].granted_tokens == 0, (
        "None would say that there is no limit"
    )


def test_a_limit_that_was_away_for_a_moment_took_nothing_from_who_did_not_hear() -> None:
    """The boot works on with its grant, so it is kept for it; one that knows of no limit has none to keep."""
    away = replace(BOOKS, limit_version=2, limit_tokens=None)
    answer, row = answer_scope(ask_of(granted_tokens=600, settled_tokens=210), away, None, active_gateways=1)
    assert row is not None
    assert (answer.status, answer.granted_tokens, row.tokens, row.nanousd) == ("granted", None, 600, None)
    answer, row = answer_scope(ask_of(granted_tokens=None, settled_tokens=210, limit_version=2), away, None, active_gateways=1)
    assert row is not None
    assert (answer.granted_tokens, row.tokens) == (None, None)


def test_what_a_boot_works_with_counts_where_the_books_have_forgotten_it() -> None:
    """They were restored to an earlier state: what it tells is not promised again to others."""
    answer, row = answer_scope(ask_of(granted_tokens=850, settled_tokens=210), BOOKS, None, active_gateways=1)
    assert row is not None
    assert (answer.status, answer.granted_tokens, row.tokens) == ("granted", 850, 850)


@pytest.mark.parametrize("seq", [1, 2])
def test_a_boot_that_has_forgotten_what_it_spent_is_not_decided(seq: int) -> None:
    """Counted from there its grant would be worth more than it is; also where it began to number its asks anew."""
    forgetful = ask_of(seq=seq, granted_tokens=0, settled_tokens=150)
    answer, row = answer_scope(forgetful, BOOKS, None, active_gateways=1)
    assert (answer.status, answer.granted_tokens, row) == ("stale_limits", 0, None)
    returning = structs.replace(forgetful, granted_tokens=150, returning=True)
    assert answer_scope(returning, BOOKS, None, active_gateways=1)[0].granted_tokens == 150
    away = replace(BOOKS, limit_tokens=None)
    assert answer_scope(ask_of(granted_tokens=None), away, None, active_gateways=1)[0].status == "granted"


def test_an_ask_that_is_only_older_than_what_is_booked_is_decided() -> None:
    """More was begun, ended and booked since it was said: all of it within the grant that the boot works with."""
    answer, _ = answer_scope(ask_of(granted_tokens=600, settled_tokens=150), BOOKS, None, active_gateways=1)
    assert (answer.status, answer.granted_tokens) == ("granted", 600)


@dataclass
class Boot:
    """Both sides of one gateway boot: what it knows itself, and what the books say of it."""

    known: int = 0
    settled: int = 0
    reserved: int = 0
    seq: int = 0
    returned_at: int = 0
    booked: int = 0
    granted: int = 0
    stored_seq: int | None = None
    ended: bool = False
    closed: bool = False
    stopped: bool = False
    booked_at_release: int | None = None
    spent_at_stop: int = 0
    asks: list[ScopeAsk] = field(default_factory=list)
    answers: list[ScopeAnswer] = field(default_factory=list)


class Budget(RuleBasedStateMachine):
    """Four boots and an authority; asks and answers are delayed, lost, repeated and reordered, bookings lag, boots end.

    The authority may know older limits than an ask does; the limit may be away for a while, of which no boot hears; an operator may
    release a boot that then turns out to live.
    """

    @initialize(limit=st.integers(0, 2_000))
    def begin(self, limit: int) -> None:
        self.limit, self.away = limit, False
        self.boots = [Boot() for _ in range(4)]

    boot_number = st.integers(0, 3)

    @rule(number=boot_number, need=st.integers(0, 300), want=st.integers(0, 600), returning=st.booleans())
    def ask(self, number: int, need: int, want: int, returning: bool) -> None:
        """A gateway asks, or lowers its own grant and says so."""
        boot = self.boots[number]
        if boot.ended:
            return
        boot.seq += 1
        if returning:
            boot.known = boot.settled + boot.reserved
            boot.returned_at = boot.seq
        boot.asks.append(
            ScopeAsk(
                scope="project",
                scope_id="p",
                period="2026-11",
                limit_version=1,
                seq=boot.seq,
                settled_tokens=boot.settled,
                reserved_tokens=boot.reserved,
                granted_tokens=boot.known,
                need_tokens=0 if returning else need,
                want_tokens=0 if returning else want,
                returning=returning,
            )
        )

    @rule(number=boot_number, pick=st.integers(0, 20), keep=st.booleans(), behind=st.booleans())
    def hear(self, number: int, pick: int, keep: bool, behind: bool) -> None:
        """The authority hears any ask that was ever said, perhaps again, perhaps before it knows the limit."""
        boot = self.boots[number]
        if not boot.asks:
            return
        ask = boot.asks[pick % len(boot.asks)]
        if not keep:
            boot.asks.remove(ask)
        books = replace(self._books(boot), limit_version=0) if behind else self._books(boot)
        answer, row = answer_scope(ask, books, None, active_gateways=4)
        if row:
            boot.granted, boot.stored_seq = row.tokens or 0, row.seq
        if answer.status == "stale_limits" and ask.returning:
            assert row is None
            assert (answer.granted_tokens or 0) <= (ask.granted_tokens or 0), "what is being returned is not handed back"
        boot.answers.append(answer)

    @rule(number=boot_number, need=st.integers(0, 300), want=st.integers(0, 600), returning=st.booleans())
    def converse(self, number: int, need: int, want: int, returning: bool) -> None:
        """A gateway asks, is heard, and hears the answer, as it goes where nothing is lost."""
        boot = self.boots[number]
        if not boot.ended:
            self.ask(number, need, want, returning)
            self.hear(number, len(boot.asks) - 1, keep=False, behind=False)
            self.learn(number, len(boot.answers) - 1, keep=False)

    @rule()
    def remove_or_set_the_limit(self) -> None:
        """It is the same when it comes back."""
        self.away = not self.away

    @rule(number=boot_number, pick=st.integers(0, 20), keep=st.booleans())
    def learn(self, number: int, pick: int, keep: bool) -> None:
        """A gateway hears any answer, except those from before it gave something back."""
        boot = self.boots[number]
        if not boot.answers or boot.ended or boot.stopped:
            return
        answer = boot.answers[pick % len(boot.answers)]
        if not keep:
            boot.answers.remove(answer)
        if answer.status == "closed":
            boot.stopped, boot.known, boot.spent_at_stop = True, answer.granted_tokens or 0, boot.settled + boot.reserved
        elif answer.seq >= boot.returned_at:
            boot.known = max(boot.known, answer.granted_tokens or 0)

    @rule(number=boot_number, amount=st.integers(1, 300))
    def reserve(self, number: int, amount: int) -> None:
        """A request is admitted when it fits what the gateway knows."""
        boot = self.boots[number]
        if not boot.ended and boot.settled + boot.reserved + amount <= boot.known:
            boot.reserved += amount

    @rule(number=boot_number, part=st.floats(0, 1))
    def settle(self, number: int, part: float) -> None:
        """A request ends at no more than its hold."""
        boot = self.boots[number]
        boot.settled += int(boot.reserved * part)
        boot.reserved = 0

    @rule(number=boot_number, part=st.floats(0, 1))
    def book(self, number: int, part: float) -> None:
        """Some of what was settled reaches the books."""
        boot = self.boots[number]
        boot.booked += int((boot.settled - boot.booked) * part)

    @rule(number=boot_number)
    def end(self, number: int) -> None:
        """A gateway dies; what it held is charged."""
        boot = self.boots[number]
        boot.ended = True
        boot.settled, boot.reserved = boot.settled + boot.reserved, 0

    @rule(number=boot_number)
    def release(self, number: int) -> None:
        """An operator takes a boot for dead, which it may be or not."""
        boot = self.boots[number]
        if not boot.closed:
            boot.closed, boot.booked_at_release = True, boot.booked

    @rule(number=boot_number)
    def close(self, number: int) -> None:
        """Once everything of a dead boot is booked, it is closed and its unspent grant goes back."""
        boot = self.boots[number]
        if boot.ended and boot.booked == boot.settled and not boot.closed:
            boot.closed = True

    @invariant()
    def promises_stay_within_the_limit(self) -> None:
        """Σ max(granted, spent) ≤ limit, whatever happened; so the spend is, too. Beyond: what released boots have spent since."""
        if hasattr(self, "boots"):
            promised = sum(boot.booked if boot.closed else max(boot.granted, boot.booked) for boot in self.boots)
            assert promised <= self.limit + sum(_since_release(boot, boot.booked) for boot in self.boots)
            spent = [boot.settled + boot.reserved for boot in self.boots]
            assert sum(spent) <= self.limit + sum(map(_since_release, self.boots, spent))

    @invariant()
    def no_boot_spends_more_than_its_grant(self) -> None:
        """What a gateway believes is never more than what the books have promised it."""
        for boot in getattr(self, "boots", []):
            assert boot.settled + boot.reserved <= boot.granted
            assert boot.known <= boot.granted or boot.ended

    @invariant()
    def who_has_heard_of_its_end_spends_nothing_more(self) -> None:
        """A released boot that comes back admits nothing after the first answer that it hears."""
        for boot in getattr(self, "boots", []):
            assert not boot.stopped or boot.settled + boot.reserved <= boot.spent_at_stop

    def _books(self, asking: Boot) -> ScopeBooks:
        held = sum(max(0, boot.granted - boot.booked) for boot in self.boots if boot is not asking and not boot.closed)
        return ScopeBooks(
            scope="project",
            scope_id="p",
            period="2026-11",
            spent_tokens=sum(boot.booked for boot in self.boots),
            spent_nanousd=0,
            limit_version=1,
            limit_tokens=None if self.away else self.limit,
            limit_nanousd=None,
            ask_seq=asking.stored_seq,
            granted_tokens=asking.granted,
            granted_nanousd=None,
            boot_tokens=asking.booked,
            boot_nanousd=0,
            held_tokens=held,
            held_nanousd=0,
            boot_closed=asking.closed,
        )


def _since_release(boot: Boot, spent: int) -> int:
    return 0 if boot.booked_at_release is None else spent - boot.booked_at_release


TestBudget = Budget.TestCase
TestBudget.settings = settings(max_examples=800, stateful_step_count=40, deadline=None)
