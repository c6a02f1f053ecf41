"""Asks usage for budget by request/reply: ahead of need, for a waiting request, or to give some back. Never on a request's own path.

An account that wants more is noted; one loop gathers the notes and sends them together. A request that must wait is woken by the answer
to an ask that was sent after it began to wait. What is asked for is decided in domain.grant_pace.
"""

import asyncio
import contextlib
import logging
import time

import msgspec
import nats.errors
from nats.aio.client import Client

from common.contracts.directory import Enforcement
from common.contracts.grants import GrantAnswer, GrantAsk, Recall
from common.contracts.subjects import GRANTS_ASK
from gateway.domain.budget import ScopeAccount
from gateway.domain.calendar import is_long_over
from gateway.domain.grant_pace import TICK_SECONDS, GrantPace

log = logging.getLogger(__name__)

ASK_TIMEOUT = 1.0
MOST_EXPECTED = 2000
LARGEST_MESSAGE = 100
DROP_AT_ONCE = 500
RECALLING_PAUSE = 0.003
"""Between asks while others are asked to return: they answer within about so long."""

JUST_NOW = 0.005
SILENT_PAUSE = 0.25

Name = tuple[str, str, str]
Waiter = tuple[int, int, asyncio.Future[None]]


class Grants:
    """The accounts of this boot and their conversation with usage. `expected` is the (tokens, nano-USD) of an ordinary hold.

    `skew_ms` is the authority's clock minus ours, from the last answer; `gateways` how many it says there are.
    """

    def __init__(self, client: Client, *, gateway: str, boot: str, expected: tuple[int, int]) -> None:
        self._client = client
        self._expected = expected
        self._gateway = gateway
        self._boot = boot
        self.accounts: dict[Name, ScopeAccount] = {}
        self._paces: dict[Name, GrantPace] = {}
        self._waiters: dict[Name, list[Waiter]] = {}
        self._by_scope: dict[tuple[str, str], set[Name]] = {}
        self._by_period: dict[str, set[Name]] = {}
        self._active: set[Name] = set()
        self._hungry: set[Name] = set()
        self._unanswered: set[Name] = set()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.skew_ms = 0
        self.gateways = 1
        self.waits = self.asks = self.failures = self.recalls = 0
        self.answered_at: float | None = None
        self._silent_since: float | None = None

    def account(
        self,
        scope: str,
        scope_id: str,
        period: str,
        tokens: int | None,
        nanousd: int | None,
        version: int,
        enforcement: Enforcement = "hard",
    ) -> ScopeAccount:
        """The account of a scope and period; limits as the directory has them now."""
        name = (scope, scope_id, period)
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = ScopeAccount(scope, scope_id, period, tokens, nanousd, version)
            self._paces[name] = GrantPace(account, self._expected, time.monotonic())
            self._by_scope.setdefault((scope, scope_id), set()).add(name)
            self._by_period.setdefault(period, set()).add(name)
        elif version > account.limit_version:
            self._adopt(name, account, tokens, nanousd, version)
        account.enforcement = enforcement
        return account

    def find(self, scope: str, scope_id: str) -> list[ScopeAccount]:
        """The accounts of a scope, of all periods."""
        return [self.accounts[name] for name in self._by_scope.get((scope, scope_id), ())]

    def change_limits(self, account: ScopeAccount, tokens: int | None, nanousd: int | None, version: int) -> None:
        """The directory says so: give back what a lowered limit no longer covers."""
        self._adopt((account.scope, account.scope_id, account.period), account, tokens, nanousd, version)

    @property
    def is_crowded(self) -> bool:
        """Whether there are so many accounts that first cushions are asked for only by requests."""
        return len(self.accounts) > MOST_EXPECTED

    @property
    def is_silent(self) -> bool:
        """Whether asks have gone unanswered for a while: waiting for one more is in vain."""
        return self._silent_since is not None and time.monotonic() - self._silent_since > ASK_TIMEOUT

    def expect(self, account: ScopeAccount) -> None:
        """Ask for a first cushion before any request needs it; not where that would be a good part of a small budget."""
        name = (account.scope, account.scope_id, account.period)
        if self._paces[name].deserves_cushion():
            self._note(name)

    def _adopt(self, name: Name, account: ScopeAccount, tokens: int | None, nanousd: int | None, version: int) -> None:
        if account.change_limits(tokens, nanousd, version):
            account.give_back()
            self._note(name)

    def touched(self, account: ScopeAccount, tokens: int, nanousd: int) -> None:
        """A hold was taken on an account that has limits: ask ahead where that is wise."""
        name = (account.scope, account.scope_id, account.period)
        pace = self._paces[name]
        if pace.activate():
            self._active.add(name)
        if pace.touched(tokens, nanousd, time.monotonic()):
            self._note(name)

    def is_exhausted(self, account: ScopeAccount, tokens: int, nanousd: int) -> bool:
        """Whether the authority has just said that so much is not there: asking again at once would not help."""
        pace = self._paces[account.scope, account.scope_id, account.period]
        return pace.is_exhausted(tokens, nanousd, time.monotonic())

    def waited_in_vain(self, account: ScopeAccount, tokens: int, nanousd: int) -> None:
        """The wait for what others were to return is over: for a moment nobody need wait for as much."""
        pace = self._paces[account.scope, account.scope_id, account.period]
        pace.waited_in_vain(tokens, nanousd, time.monotonic())

    def wait(self, account: ScopeAccount, tokens: int, nanousd: int, seconds: float) -> asyncio.Future[None]:
        """A future that ends when the authority has answered for this need, or after `seconds`."""
        name = (account.scope, account.scope_id, account.period)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _finish, future)
        future.add_done_callback(lambda _: timer.cancel())
        self._waiters.setdefault(name, []).append((tokens, nanousd, future))
        pace = self._paces[name]
        pace.touched_at = time.monotonic()
        self.waits += 1
        answer = account.answer
        if answer is not None and answer.status == "recalling" and not pace.in_flight:
            loop.call_later(RECALLING_PAUSE, self._note, name)
        else:
            self._note(name)
        return future

    def ask_again(self, account: ScopeAccount) -> None:
        """While nobody answers, nobody waits either: then this is what finds out that somebody answers again."""
        name = (account.scope, account.scope_id, account.period)
        if time.monotonic() - self._paces[name].asked_at > SILENT_PAUSE:
            self._note(name)

    def recall(self, recall: Recall) -> None:
        """Another boot needs budget: return what is not reserved."""
        if recall.boot == self._boot:
            return
        now = time.monotonic()
        for name in recall.scopes:
            pace = self._paces.get(name)
            # What was granted an instant ago is somebody's who has not run yet; whoever recalls asks again.
            if pace is not None and now - pace.account.answered_at > JUST_NOW and pace.recall(now):
                self.recalls += 1
                self._note(name)

    def _note(self, name: Name) -> None:
        pace = self._paces.get(name)
        if pace is None:
            return
        if pace.activate():
            self._active.add(name)
        self._hungry.add(name)
        self._wake.set()

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
        waiting = {name: list(self._waiters.get(name, ())) for name in names}
        try:
            answer = await self._request(names)
        except (nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError) as problem:
            self.failures += 1
            self._silent_since = self._silent_since or time.monotonic()
            self._unanswered.update(names)
            log.debug("grants: no answer", extra={"problem": type(problem).__name__})
        else:
            now = time.monotonic()
            for name, one in zip(names, answer.answers, strict=True):
                self._paces[name].take(one, now)
                for _, _, future in waiting[name]:
                    _finish(future)
        finally:
            for name in names:
                self._after_ask(name)

    async def _request(self, names: list[Name]) -> GrantAnswer:
        now = time.monotonic()
        asks = tuple(self._paces[name].shape(self._needs(name), now) for name in names)
        ask = GrantAsk(gateway=self._gateway, boot=self._boot, asks=asks)
        self.asks += 1
        if not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        reply = await self._client.request(GRANTS_ASK, msgspec.json.encode(ask), timeout=ASK_TIMEOUT)
        answer = msgspec.json.decode(reply.data, type=GrantAnswer)
        self.answered_at, self._silent_since = time.monotonic(), None
        self.skew_ms = answer.answered_at - time.time_ns() // 1_000_000
        self.gateways = max(1, answer.gateways)
        return answer

    def _needs(self, name: Name) -> list[tuple[int, int]]:
        return [(tokens, nanousd) for tokens, nanousd, future in self._waiters.get(name, ()) if not future.done()]

    def _after_ask(self, name: Name) -> None:
        pace = self._paces[name]
        pace.in_flight = False
        waiters = [waiter for waiter in self._waiters.pop(name, ()) if not waiter[2].done()]
        if waiters:
            self._waiters[name] = waiters
        if waiters or pace.owes_return():
            self._note(name)
        if self._hungry:
            self._wake.set()

    async def _keep_ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for name in list(self._active):
                self._tick(name, now)
            self._ask_unanswered()
            self.drop_ended(time.time())

    def _ask_unanswered(self) -> None:
        """What was asked in vain is asked again, so that the end of a silence is noticed before a request is refused for it."""
        for name in self._unanswered:
            self._note(name)
        self._unanswered.clear()

    def _tick(self, name: Name, now: float) -> None:
        if name in self._waiters:
            return
        match self._paces[name].tick(now):
            case "return":
                self._note(name)
            case "quiet":
                self._active.discard(name)

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
        if account.reserved_tokens or account.reserved_nanousd or pace.in_flight or name in self._waiters:
            return
        del self.accounts[name], self._paces[name]
        self._active.discard(name)
        self._hungry.discard(name)
        self._unanswered.discard(name)
        siblings = self._by_scope[name[:2]]
        siblings.discard(name)
        if not siblings:
            del self._by_scope[name[:2]]

    async def give_all_back(self) -> None:
        """At shutdown: lower every grant to what is settled, and say so once; the close record does it otherwise."""
        names = [name for name, account in self.accounts.items() if account.limited and account.seq]
        for name in names:
            self.accounts[name].give_back()
        for start in range(0, len(names), LARGEST_MESSAGE):
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError, msgspec.MsgspecError):
                await self._request(names[start : start + LARGEST_MESSAGE])


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
