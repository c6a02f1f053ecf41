"""Answer a boot's asks for budget: decided under the lock of each scope, committed before anything is said."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from psycopg import AsyncConnection

from common.contracts.grants import GrantAnswer, GrantAsk, Recall, ScopeAnswer, ScopeAsk
from usage.domain.grants import Unit, could_be_recalled, decide, held
from usage.outbound.database import Database
from usage.outbound.grants_store import GrantRow, ScopeBooks, ToldLimits, lock_books, make_rows, store_limits, write_grants
from usage.outbound.ledger_store import Scope
from usage.use_cases.counters import GRANT_ANSWERS

POOL_WAIT_SECONDS = 0.5
TRIES = 3

Amounts = tuple[int | None, ...]
"""Tokens and nano-USD; None = without a limit."""


class AnswerGrants:
    """The budget authority. Any number of processes may answer: the database serializes them.

    `behind` hears that an ask knew newer limits than the books, and returns at once: whoever asks again later is served then.
    `changed` hears whose limits an ask has made known.
    `recall` tells the gateways that somebody needs what others hold; it may be lost, for it is said again with every further ask.
    """

    def __init__(
        self,
        database: Database,
        behind: Callable[[], None],
        changed: Callable[[frozenset[Scope]], None],
        active_gateways: Callable[[], int],
        recall: Callable[[Recall], Awaitable[None]],
    ) -> None:
        self._database, self._behind, self._changed = database, behind, changed
        self._active_gateways, self._recall = active_gateways, recall

    async def __call__(self, ask: GrantAsk) -> GrantAnswer:
        """Raises one of database.TRANSIENT when the books cannot be had: then there is no answer, never a wrong one."""
        answers = await self._decide(ask)
        if any(map(_is_behind, ask.asks, answers)):
            self._behind()
        wanted = tuple((one.scope, one.scope_id, one.period) for one in answers if one.status == "recalling")
        if wanted:
            await self._recall(Recall(boot=ask.boot, scopes=wanted))
        for answer in answers:
            GRANT_ANSWERS.labels(answer.status).inc()
        return GrantAnswer(answers=answers, answered_at=time.time_ns() // 1_000_000, gateways=max(1, self._active_gateways()))

    async def _decide(self, ask: GrantAsk) -> tuple[ScopeAnswer, ...]:
        scopes = {_scope(one) for one in ask.asks}
        for _ in range(TRIES):
            answers = await self._decide_known(ask, scopes)
            if answers is not None:
                return answers
            async with self._database.transaction(wait=POOL_WAIT_SECONDS) as connection:
                await make_rows(connection, scopes)
        raise TimeoutError("the rows of these scopes vanish as soon as they are made")

    async def _decide_known(self, ask: GrantAsk, scopes: AbstractSet[Scope]) -> tuple[ScopeAnswer, ...] | None:
        """None, and nothing changed, when a scope has no row in the ledger yet."""
        if not scopes:
            return ()
        async with self._database.transaction(wait=POOL_WAIT_SECONDS) as connection:
            books = await lock_books(connection, scopes, ask.boot)
            if len(books) < len(scopes):
                return None
            told = newest_limits(ask.asks, books)
            answers = await self._decide_locked(connection, ask, books, told)
        self._changed(frozenset(told))
        return answers

    async def _decide_locked(
        self,
        connection: AsyncConnection,
        ask: GrantAsk,
        books: Mapping[Scope, ScopeBooks],
        told: Mapping[Scope, ToldLimits],
    ) -> tuple[ScopeAnswer, ...]:
        await store_limits(connection, list(told.values()))
        answers: dict[int, ScopeAnswer] = {}
        written: dict[Scope, GrantRow] = {}
        # Two asks of one scope in one message: the newer decides, the older is answered with the outcome.
        for position, one in sorted(enumerate(ask.asks), key=lambda found: -found[1].seq):
            scope = _scope(one)
            earlier = written.get(scope)
            known = with_told(books[scope], told.get(scope))
            answer, row = answer_scope(one, known, earlier, active_gateways=self._active_gateways())
            answers[position] = answer
            if row:
                written[scope] = row
        await write_grants(connection, ask.gateway, ask.boot, list(written.values()))
        return tuple(answers[position] for position in range(len(ask.asks)))


PROJECTED = frozenset({"organization", "project"})
"""Scopes whose limits usage has from the directory itself."""


def newest_limits(asks: Iterable[ScopeAsk], books: Mapping[Scope, ScopeBooks]) -> dict[Scope, ToldLimits]:
    """What asks tell of limits that usage does not know from the directory, where it is newer than what was told before."""
    told: dict[Scope, ToldLimits] = {}
    for ask in asks:
        scope = _scope(ask)
        known = told[scope].version if scope in told else books[scope].limit_version
        if ask.scope not in PROJECTED and (known is None or ask.limit_version > known):
            told[scope] = ToldLimits(scope, ask.limit_version, ask.limit_tokens, ask.limit_nanousd)
    return told


def with_told(books: ScopeBooks, told: ToldLimits | None) -> ScopeBooks:
    """The books with newer limits in them."""
    if told is None:
        return books
    return replace(books, limit_version=told.version, limit_tokens=told.tokens, limit_nanousd=told.nanousd)


def answer_scope(
    ask: ScopeAsk, books: ScopeBooks, earlier: GrantRow | None, *, active_gateways: int
) -> tuple[ScopeAnswer, GrantRow | None]:
    """The answer to one ask and the grant to store, None when nothing changes."""
    granted = _granted(books, earlier)
    if books.boot_closed:
        return _answer(ask, books, "closed", (0, 0)), None
    if books.limit_version is None or ask.limit_version > books.limit_version:
        return _answer(ask, books, "stale_limits", granted, said=_unheard(ask, granted)), None
    units = units_of(ask, books)
    has_forgotten = any(unit.has_forgotten for unit in units)
    if has_forgotten and not ask.returning:
        return _answer(ask, books, "stale_limits", granted, said=_own(ask)), None
    if earlier or (books.ask_seq is not None and ask.seq <= books.ask_seq):
        return _answer(ask, books, "granted", granted, said=_unheard(ask, granted) if has_forgotten else None), None
    decision = decide(units, active_gateways=active_gateways, returning=ask.returning)
    tokens, nanousd = decision.granted
    row = GrantRow(_scope(ask), tokens, nanousd, ask.seq)
    status = "recalling" if decision.status == "exhausted" and could_be_recalled(units) else decision.status
    said = _unheard(ask, decision.granted) if has_forgotten else None
    return _answer(ask, books, status, decision.granted, said=said), row


def units_of(ask: ScopeAsk, books: ScopeBooks) -> tuple[Unit, Unit]:
    """Tokens and nano-USD of one ask against the books. A boot that never asked has been granted nothing so far."""
    known = books.ask_seq is not None
    return (
        Unit(
            limit=books.limit_tokens,
            spent_total=books.spent_tokens,
            held_elsewhere=books.held_tokens,
            granted=books.granted_tokens if known else 0,
            spent=books.boot_tokens,
            settled=ask.settled_tokens,
            reserved=ask.reserved_tokens,
            believed=ask.granted_tokens,
            need=ask.need_tokens,
            want=ask.want_tokens,
            waiting=ask.waiting_tokens,
        ),
        Unit(
            limit=books.limit_nanousd,
            spent_total=books.spent_nanousd,
            held_elsewhere=books.held_nanousd,
            granted=books.granted_nanousd if known else 0,
            spent=books.boot_nanousd,
            settled=ask.settled_nanousd,
            reserved=ask.reserved_nanousd,
            believed=ask.granted_nanousd,
            need=ask.need_nanousd,
            want=ask.want_nanousd,
            waiting=ask.waiting_nanousd,
        ),
    )


def _granted(books: ScopeBooks, earlier: GrantRow | None) -> Amounts:
    """What the boot may spend at the moment; nothing if it never asked."""
    if earlier:
        return earlier.tokens, earlier.nanousd
    return (0, 0) if books.ask_seq is None else (books.granted_tokens, books.granted_nanousd)


def _told(books: ScopeBooks, granted: Amounts) -> Amounts:
    """As the boot is told: None for a unit without a limit, 0 where there is nothing or a limit may not be known here."""
    known = books.limit_version is not None
    return tuple(
        None if known and limit is None else amount or 0
        for limit, amount in zip((books.limit_tokens, books.limit_nanousd), granted, strict=True)
    )


def _unheard(ask: ScopeAsk, granted: Amounts) -> Amounts:
    """What is answered to an ask that was not decided: whoever is returning something is not told to have it again."""
    if not ask.returning:
        return granted
    return tuple(
        booked if booked is None or own is None else min(booked, own) for booked, own in zip(granted, _own(ask), strict=True)
    )


def _own(ask: ScopeAsk) -> Amounts:
    """The grants that the boot works with, by its own word."""
    return ask.granted_tokens, ask.granted_nanousd


def _answer(ask: ScopeAsk, books: ScopeBooks, status: str, granted: Amounts, *, said: Amounts | None = None) -> ScopeAnswer:
    """`granted` = by the books; `said` = what the boot is told of it, if that is less."""
    tokens, nanousd = units_of(ask, books)
    told = _told(books, granted if said is None else said)
    return ScopeAnswer(
        scope=ask.scope,
        scope_id=ask.scope_id,
        period=ask.period,
        seq=ask.seq,
        status=status,  # type: ignore[arg-type] # one of the five, from this module
        limit_version=books.limit_version or 0,
        granted_tokens=told[0],
        granted_nanousd=told[1],
        used_tokens=books.spent_tokens,
        used_nanousd=books.spent_nanousd,
        held_tokens=held(tokens, granted[0]),
        held_nanousd=held(nanousd, granted[1]),
        limit_tokens=books.limit_tokens,
        limit_nanousd=books.limit_nanousd,
    )


def _is_behind(ask: ScopeAsk, answer: ScopeAnswer) -> bool:
    """Whether the books know older limits than the ask, or none."""
    return answer.status == "stale_limits" and (not answer.limit_version or answer.limit_version < ask.limit_version)


def _scope(ask: ScopeAsk) -> Scope:
    return (ask.scope, ask.scope_id, ask.period)
