"""Answer a boot's asks for budget: decided under the lock of each scope, committed before anything is said."""

import time
from collections.abc import Callable
from typing import Protocol

from psycopg import AsyncConnection

from common.contracts.grants import GrantAnswer, GrantAsk, ScopeAnswer, ScopeAsk
from usage.domain.grants import Decision, Unit, decide, held
from usage.outbound.database import Database
from usage.outbound.grants_store import GrantRow, Scope, ScopeBooks, lock_books, write_grants
from usage.use_cases.counters import GRANT_ANSWERS

POOL_WAIT_SECONDS = 0.5


class Limits(Protocol):
    """The projection of the directory, which may be behind."""

    async def catch_up(self) -> None:
        """Read what the directory holds now; returns within a short bound, whatever happens."""


class AnswerGrants:
    """The budget authority. Any number of processes may answer: the database serializes them."""

    def __init__(self, database: Database, limits: Limits, active_gateways: Callable[[], int]) -> None:
        self._database, self._limits, self._active_gateways = database, limits, active_gateways

    async def __call__(self, ask: GrantAsk) -> GrantAnswer:
        """Raises one of database.TRANSIENT when the books cannot be had: then there is no answer, never a wrong one."""
        answers = await self._decide(ask)
        if any(answer.status == "stale_limits" for answer in answers):
            await self._limits.catch_up()
            answers = await self._decide(ask)
        for answer in answers:
            GRANT_ANSWERS.labels(answer.status).inc()
        return GrantAnswer(answers=answers, answered_at=time.time_ns() // 1_000_000)

    async def _decide(self, ask: GrantAsk) -> tuple[ScopeAnswer, ...]:
        if not ask.asks:
            return ()
        async with self._database.transaction(wait=POOL_WAIT_SECONDS) as connection:
            return await self._decide_locked(connection, ask)

    async def _decide_locked(self, connection: AsyncConnection, ask: GrantAsk) -> tuple[ScopeAnswer, ...]:
        books = await lock_books(connection, [_scope(one) for one in ask.asks], ask.boot)
        answers: dict[int, ScopeAnswer] = {}
        written: dict[Scope, GrantRow] = {}
        # Two asks of one scope in one message: the newer decides, the older is answered with the outcome.
        for position, one in sorted(enumerate(ask.asks), key=lambda found: -found[1].seq):
            scope = _scope(one)
            earlier = written.get(scope)
            answer, row = answer_scope(one, books[scope], earlier, active_gateways=self._active_gateways())
            answers[position] = answer
            if row:
                written[scope] = row
        await write_grants(connection, ask.gateway, ask.boot, list(written.values()))
        return tuple(answers[position] for position in range(len(ask.asks)))


def answer_scope(
    ask: ScopeAsk, books: ScopeBooks, earlier: GrantRow | None, *, active_gateways: int
) -> tuple[ScopeAnswer, GrantRow | None]:
    """The answer to one ask and the grant to store, None when nothing changes."""
    granted = (earlier.tokens, earlier.nanousd) if earlier else (books.granted_tokens, books.granted_nanousd)
    if books.boot_closed:
        return _answer(ask, books, "closed", granted), None
    if books.limit_version is None or ask.limit_version > books.limit_version:
        return _answer(ask, books, "stale_limits", granted), None
    if earlier or (books.ask_seq is not None and ask.seq <= books.ask_seq):
        return _answer(ask, books, "granted", granted), None
    decision = _decision(ask, books, active_gateways)
    tokens, nanousd = decision.granted
    row = GrantRow(_scope(ask), tokens, nanousd, ask.seq)
    return _answer(ask, books, decision.status, decision.granted), row


def _decision(ask: ScopeAsk, books: ScopeBooks, active_gateways: int) -> Decision:
    return decide(units_of(ask, books), active_gateways=active_gateways, returning=ask.returning)


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
        ),
    )


def _answer(
    ask: ScopeAsk,
    books: ScopeBooks,
    status: str,
    granted: tuple[int | None, ...],
) -> ScopeAnswer:
    tokens, nanousd = units_of(ask, books)
    return ScopeAnswer(
        scope=ask.scope,
        scope_id=ask.scope_id,
        period=ask.period,
        seq=ask.seq,
        status=status,  # type: ignore[arg-type] # one of the four, from this module
        limit_version=books.limit_version or 0,
        granted_tokens=granted[0],
        granted_nanousd=granted[1],
        used_tokens=books.spent_tokens,
        used_nanousd=books.spent_nanousd,
        held_tokens=held(tokens, granted[0]),
        held_nanousd=held(nanousd, granted[1]),
        limit_tokens=books.limit_tokens,
        limit_nanousd=books.limit_nanousd,
    )


def _scope(ask: ScopeAsk) -> Scope:
    return (ask.scope, ask.scope_id, ask.period)
