"""Asks usage for budget by request/reply: ahead of need, for a waiting request, or to give some back. Never on a request's own path.

An account that wants more is noted; one loop gathers the notes and sends them together. A request that must wait is woken by the answer
to an ask that was sent after it began to wait.
"""

import asyncio
import contextlib
import logging
import math
import time

import msgspec
import nats.errors
from nats.aio.client import Client

from common.contracts.grants import GrantAnswer, GrantAsk, ScopeAnswer, ScopeAsk
from common.contracts.subjects import GRANTS_ASK
from gateway.domain.budget import ScopeAccount
from gateway.domain.calendar import is_long_over

log = logging.getLogger(__name__)

ASK_TIMEOUT = 1.0
TICK_SECONDS = 1.0
FAR_AHEAD_SECONDS = 300.0
FEW_HOLDS = 16
COMFORT, HURRY = 0.75, 0.5
"""Parts of the cushion below which more is asked for: at leisure, and within a second of the last ask."""
LARGEST_BOOST = 2**16
SMALL_PART = 20
"""A first cushion is asked for ahead of any request only if the limit is so many times larger."""
MOST_EXPECTED = 2000
IDLE_SECONDS = 10.0
NEARLY_SPENT = 0.8
QUIET_SECONDS = 60.0
"""Untouched for so long, an account's rate is nothing and the ticks leave it alone."""
EXHAUSTED_SECONDS = 0.25
LARGEST_MESSAGE = 100
DROP_AT_ONCE = 500

Name = tuple[str, str, str]


class _Pace:
    """How fast an account spends, and when it was last touched. `active` = the ticks look at it."""

    __slots__ = (
        "active",
        "asked_at",
        "boost",
        "cushion",
        "in_flight",
        "largest",
        "last_settled",
        "rate_nanousd",
        "rate_tokens",
        "touched",
        "waiters",
    )

    def __init__(self, expected: tuple[int, int]) -> None:
        self.rate_tokens = self.rate_nanousd = 0.0
        self.last_settled = (0, 0)
        self.largest = expected
        self.boost = 1
        self.cushion = (FEW_HOLDS * expected[0], FEW_HOLDS * expected[1])
        self.touched = time.monotonic()
        self.asked_at = 0.0
        self.in_flight = self.active = False
        self.waiters: list[tuple[int, int, asyncio.Future[None]]] = []


class Grants:
    """The accounts of this boot and their conversation with usage. `expected` is the (tokens, nano-USD) of an ordinary hold.

    `skew_ms` is the authority's clock minus ours, from the last answer.
    """

    def __init__(self, client: Client, *, gateway: str, boot: str, expected: tuple[int, int]) -> None:
        self._client = client
        self._expected = expected
        self._gateway = gateway
        self._boot = boot
        self.accounts: dict[Name, ScopeAccount] = {}
        self._paces: dict[Name, _Pace] = {}
        self._by_scope: dict[tuple[str, str], set[Name]] = {}
        self._by_period: dict[str, set[Name]] = {}
        self._active: set[Name] = set()
        self._hungry: set[Name] = set()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.skew_ms = 0
        self.waits = self.asks = self.failures = 0
        self.answered_at: float | None = None

    def account(
        self, scope: str, scope_id: str, period: str, tokens: int | None, nanousd: int | None, version: int
    ) -> ScopeAccount:
        """The account of a scope and period; limits as the directory has them now."""
        name = (scope, scope_id, period)
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = ScopeAccount(scope, scope_id, period, tokens, nanousd, version)
            self._paces[name] = _Pace(self._expected)
            self._by_scope.setdefault((scope, scope_id), set()).add(name)
            self._by_period.setdefault(period, set()).add(name)
        elif version > account.limit_version:
            self._adopt(name, account, tokens, nanousd, version)
        return account

    def limits_changed(self, scope: str, scope_id: str, tokens: int | None, nanousd: int | None, version: int) -> None:
        """The directory says so: give back what a lowered limit no longer covers."""
        for name in self._by_scope.get((scope, scope_id), ()):
            self._adopt(name, self.accounts[name], tokens, nanousd, version)

    @property
    def is_crowded(self) -> bool:
        """Whether there are so many accounts that first cushions are asked for only by requests."""
        return len(self.accounts) > MOST_EXPECTED

    def expect(self, account: ScopeAccount) -> None:
        """Ask for a first cushion before any request needs it; not where that would be a good part of a small budget."""
        if not account.limited or account.seq:
            return
        name = (account.scope, account.scope_id, account.period)
        tokens, nanousd = self._paces[name].cushion
        if (account.limit_tokens is None or account.limit_tokens >= SMALL_PART * tokens) and (
            account.limit_nanousd is None or account.limit_nanousd >= SMALL_PART * nanousd
        ):
            self._note(name)

    def _adopt(self, name: Name, account: ScopeAccount, tokens: int | None, nanousd: int | None, version: int) -> None:
        if account.change_limits(tokens, nanousd, version):
            account.give_back()
            self._note(name)

    def touched(self, account: ScopeAccount, tokens: int, nanousd: int) -> None:
        """A hold was taken: ask ahead when less than three quarters of a comfortable cushion is left."""
        name = (account.scope, account.scope_id, account.period)
        pace = self._paces[name]
        pace.touched = now = time.monotonic()
        if not account.limited:
            return
        if not pace.active:
            self._activate(name, account, pace)
        if pace.in_flight:
            return
        if tokens > pace.largest[0] or nanousd > pace.largest[1]:
            pace.largest = (max(tokens, pace.largest[0]), max(nanousd, pace.largest[1]))
            pace.cushion = self._cushion(pace)
        patient = now - pace.asked_at < TICK_SECONDS
        part = HURRY if patient else COMFORT
        want_tokens, want_nanousd = pace.cushion
        left_tokens, left_nanousd = account.headroom()
        if (account.limit_tokens is not None and left_tokens < part * want_tokens) or (
            account.limit_nanousd is not None and left_nanousd < part * want_nanousd
        ):
            if self._is_dry(account, now):
                return
            if patient:
                if account.answered_at < pace.asked_at:
                    return  # nobody answered: asking at once again, or for more, brings nothing but a hoard later
                pace.boost = min(LARGEST_BOOST, pace.boost * 2)
                pace.cushion = self._cushion(pace)
            self._note(name)

    @staticmethod
    def _is_dry(account: ScopeAccount, now: float) -> bool:
        """Whether the authority has just said that nothing is left: asking ahead again at once would be noise."""
        answer = account.answer
        return answer is not None and now - account.answered_at < TICK_SECONDS and min(_pool(answer)) <= 0

    def is_exhausted(self, account: ScopeAccount, tokens: int, nanousd: int) -> bool:
        """Whether the authority has just said that so much is not there: asking again at once would not help."""
        answer = account.answer
        if answer is None or answer.status != "exhausted" or time.monotonic() - account.answered_at > EXHAUSTED_SECONDS:
            return False
        short_tokens, short_nanousd = account.shortfall(tokens, nanousd)
        pool_tokens, pool_nanousd = _pool(answer)
        return short_tokens > pool_tokens or short_nanousd > pool_nanousd

    def wait(self, account: ScopeAccount, tokens: int, nanousd: int, seconds: float) -> asyncio.Future[None]:
        """A future that ends when the authority has answered for this need, or after `seconds`."""
        name = (account.scope, account.scope_id, account.period)
        pace = self._paces[name]
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _finish, future)
        future.add_done_callback(lambda _: timer.cancel())
        pace.waiters.append((tokens, nanousd, future))
        pace.touched = time.monotonic()
        self.waits += 1
        self._note(name)
        return future

    def _activate(self, name: Name, account: ScopeAccount, pace: _Pace) -> None:
        pace.active = True
        pace.last_settled = (account.settled_tokens, account.settled_nanousd)
        self._active.add(name)

    def _note(self, name: Name) -> None:
        pace = self._paces[name]
        if not pace.active:
            self._activate(name, self.accounts[name], pace)
        self._hungry.add(name)
        self._wake.set()

    @staticmethod
    def _cushion(pace: _Pace) -> tuple[int, int]:
        few = FEW_HOLDS * pace.boost
        return (
            max(few * pace.largest[0], int(pace.rate_tokens * FAR_AHEAD_SECONDS)),
            max(few * pace.largest[1], int(pace.rate_nanousd * FAR_AHEAD_SECONDS)),
        )

    async def run(self) -> None:
        """Ask until cancelled."""
        ticker = asyncio.create_task(self._keep_ticking())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._ask_hungry()
        finally:
            ticker.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(ticker, *self._tasks, return_exceptions=True)

    def _ask_hungry(self) -> None:
        names = [name for name in self._hungry if not self._paces[name].in_flight][:LARGEST_MESSAGE]
        self._hungry.difference_update(names)
        if names:
            for name in names:
                self._paces[name].in_flight = True
            task = asyncio.create_task(self._ask(names))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, names: list[Name]) -> None:
        waiting = {name: list(self._paces[name].waiters) for name in names}
        asks = tuple(self._shape_ask(name) for name in names)
        try:
            answer = await self._request(GrantAsk(gateway=self._gateway, boot=self._boot, asks=asks))
        except (nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError) as problem:
            self.failures += 1
            log.debug("grants: no answer", extra={"problem": type(problem).__name__})
        else:
            for name, one in zip(names, answer.answers, strict=True):
                self._take(name, one)
                for _, _, future in waiting[name]:
                    _finish(future)
        finally:
            for name in names:
                self._after_ask(name)

    async def _request(self, ask: GrantAsk) -> GrantAnswer:
        self.asks += 1
        if not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        reply = await self._client.request(GRANTS_ASK, msgspec.json.encode(ask), timeout=ASK_TIMEOUT)
        answer = msgspec.json.decode(reply.data, type=GrantAnswer)
        self.answered_at = time.monotonic()
        self.skew_ms = answer.answered_at - time.time_ns() // 1_000_000
        return answer

    def _shape_ask(self, name: Name) -> ScopeAsk:
        account, pace = self.accounts[name], self._paces[name]
        returning = account.returned_seq == account.seq and account.seq > 0
        if not returning:
            account.seq += 1
        pace.asked_at = time.monotonic()
        need_tokens = need_nanousd = all_tokens = all_nanousd = 0
        for tokens, nanousd, future in pace.waiters:
            if future.done():
                continue
            if all_tokens == all_nanousd == 0:  # whoever came first decides whether anything is left
                need_tokens, need_nanousd = account.shortfall(tokens, nanousd)
            all_tokens, all_nanousd = all_tokens + tokens, all_nanousd + nanousd
        short_tokens, short_nanousd = account.shortfall(all_tokens, all_nanousd)
        cushion = pace.cushion
        left = account.headroom()
        return ScopeAsk(
            scope=account.scope,
            scope_id=account.scope_id,
            period=account.period,
            limit_version=account.limit_version,
            seq=account.seq,
            settled_tokens=account.settled_tokens,
            settled_nanousd=account.settled_nanousd,
            reserved_tokens=account.reserved_tokens,
            reserved_nanousd=account.reserved_nanousd,
            granted_tokens=account.granted_tokens,
            granted_nanousd=account.granted_nanousd,
            need_tokens=need_tokens,
            need_nanousd=need_nanousd,
            want_tokens=0 if returning else short_tokens + max(0, cushion[0] - max(0, left[0])),
            want_nanousd=0 if returning else short_nanousd + max(0, cushion[1] - max(0, left[1])),
            returning=returning,
        )

    def _take(self, name: Name, answer: ScopeAnswer) -> None:
        account = self.accounts[name]
        account.take_answer(answer)
        account.answered_at = time.monotonic()
        if answer.seq == account.returned_seq == account.seq:
            account.seq += 1  # the return has been heard; the next ask is an ordinary one

    def _after_ask(self, name: Name) -> None:
        pace = self._paces[name]
        pace.in_flight = False
        pace.waiters = [waiter for waiter in pace.waiters if not waiter[2].done()]
        if pace.waiters or self.accounts[name].returned_seq == self.accounts[name].seq > 0:
            self._note(name)
        if self._hungry:
            self._wake.set()

    async def _keep_ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for name in list(self._active):
                self._tick(name, self.accounts[name], now)
            self.drop_ended(time.time())

    def drop_ended(self, now: float) -> None:
        """Forget some accounts of periods that have been over for two days (`now` in Unix seconds), never one that is in use.

        What is still reserved then never ends in this process (its end could not be written); it is kept, and not looked at again.
        """
        for period, names in list(self._by_period.items()):
            if is_long_over(period, now):
                for _ in range(min(len(names), DROP_AT_ONCE)):
                    self._drop_unused(names.pop())
                if not names:
                    del self._by_period[period]

    def _drop_unused(self, name: Name) -> None:
        account, pace = self.accounts[name], self._paces[name]
        if account.reserved_tokens or account.reserved_nanousd or pace.in_flight or pace.waiters:
            return
        del self.accounts[name], self._paces[name]
        self._active.discard(name)
        self._hungry.discard(name)
        siblings = self._by_scope[name[:2]]
        siblings.discard(name)
        if not siblings:
            del self._by_scope[name[:2]]

    def _tick(self, name: Name, account: ScopeAccount, now: float) -> None:
        pace = self._paces[name]
        tokens = account.settled_tokens - pace.last_settled[0]
        nanousd = account.settled_nanousd - pace.last_settled[1]
        pace.last_settled = (account.settled_tokens, account.settled_nanousd)
        pace.rate_tokens += 0.2 * (tokens / TICK_SECONDS - pace.rate_tokens)
        pace.rate_nanousd += 0.2 * (nanousd / TICK_SECONDS - pace.rate_nanousd)
        if now - pace.asked_at > 2 * TICK_SECONDS:
            pace.boost = max(1, pace.boost // 2)
        pace.cushion = self._cushion(pace)
        if self._should_return(account, pace, now):
            account.give_back()
            self._note(name)
        elif self._is_quiet(account, pace, now):
            pace.active = False
            pace.rate_tokens = pace.rate_nanousd = 0.0
            pace.boost = 1
            pace.cushion = self._cushion(pace)
            self._active.discard(name)

    @staticmethod
    def _is_quiet(account: ScopeAccount, pace: _Pace, now: float) -> bool:
        """Whether nothing can happen to it before a request touches it."""
        if pace.in_flight or pace.waiters or account.reserved_tokens or account.reserved_nanousd:
            return False
        return not account.limited or now - max(pace.touched, pace.asked_at) > QUIET_SECONDS

    def _should_return(self, account: ScopeAccount, pace: _Pace, now: float) -> bool:
        """Idle while the budget is nearly handed out: somebody else may need what lies here."""
        answer = account.answer
        if answer is None or pace.in_flight or pace.waiters or now - pace.touched < IDLE_SECONDS:
            return False
        left_tokens, left_nanousd = account.headroom()
        return _nearly(answer.limit_tokens, answer.used_tokens + answer.held_tokens, left_tokens) or _nearly(
            answer.limit_nanousd, answer.used_nanousd + answer.held_nanousd, left_nanousd
        )

    async def give_all_back(self) -> None:
        """At shutdown: lower every grant to what is settled, and say so once; the close record does it otherwise."""
        names = [name for name, account in self.accounts.items() if account.limited and account.seq]
        for name in names:
            self.accounts[name].give_back()
        for start in range(0, len(names), LARGEST_MESSAGE):
            part = names[start : start + LARGEST_MESSAGE]
            asks = tuple(self._shape_ask(name) for name in part)
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError):
                await self._request(GrantAsk(gateway=self._gateway, boot=self._boot, asks=asks))


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _pool(answer: ScopeAnswer) -> tuple[float, float]:
    """What nobody holds or has used, per unit; endless where there is no limit."""
    return (
        math.inf if answer.limit_tokens is None else answer.limit_tokens - answer.used_tokens - answer.held_tokens,
        math.inf if answer.limit_nanousd is None else answer.limit_nanousd - answer.used_nanousd - answer.held_nanousd,
    )


def _nearly(limit: int | None, committed: int, left: int) -> bool:
    return limit is not None and left > 0 and committed >= NEARLY_SPENT * limit
