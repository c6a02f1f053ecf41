"""Asks usage for budget: ahead of need, for a waiting request, or to give some back. Never on a request's own path.

What is asked for, and when, is decided in domain.grant_pace; how messages go out in outbound.asking.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import nats.errors
from nats.aio.client import Client

from common.contracts.grants import GrantAnswer, GrantAsk, Recall, ScopeAnswer, ScopeAsk
from common.contracts.subjects import GRANTS_ASK
from gateway.domain.budget import ScopeAccount
from gateway.domain.calendar import corrected, is_long_over
from gateway.domain.grant_pace import TICK_SECONDS, GrantPace
from gateway.outbound.asking import ASK_TIMEOUT, UNANSWERED, Asking

log = logging.getLogger(__name__)

MOST_EXPECTED = 2000
LARGEST_MESSAGE = 100
DROP_AT_ONCE = 500
PAUSE = 0.003
"""Between asks of a waiting request while others return what they hold, or while usage learns of new limits: about so long that takes."""

JUST_NOW = 0.005
LATELY = 2.0
"""Seconds for which an answer says how things are, to a request that got none of its own in time."""

SILENT_PAUSE = 0.25
IN_TOUCH = 4
"""Where nothing had to be asked for a fourth of the time after which nothing more may be spent, it is asked how things stand."""

Name = tuple[str, str, str]
Amounts = tuple[int, int]


class Grants:
    """The accounts of this boot and their conversation with usage. `expected` is the (tokens, nano-USD) of an ordinary hold.

    `gateways`: how many there are, until usage says so. `skew_ms` is the authority's clock minus ours, from the last answer. Without an
    answer for `contact_seconds` nothing more is spent of what was granted. `closed` is called once, when usage holds this boot for dead.
    """

    def __init__(
        self,
        client: Client,
        *,
        gateway: str,
        boot: str,
        expected: Amounts,
        gateways: int = 1,
        contact_seconds: float = 900.0,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._expected = expected
        self._gateway = gateway
        self._boot = boot
        self._contact_seconds = contact_seconds
        self._say_closed = closed
        self.accounts: dict[Name, ScopeAccount] = {}
        self._paces: dict[Name, GrantPace] = {}
        self._by_scope: dict[tuple[str, str], set[Name]] = {}
        self._by_period: dict[str, set[Name]] = {}
        self.end_users: Counter[tuple[str, str]] = Counter()
        self._active: set[Name] = set()
        self.asking: Asking[Name, Amounts] = Asking("grants", self._exchange, largest_message=LARGEST_MESSAGE)
        self.skew_ms = 0
        self._authority_began: float | None = None
        self._last_heard: Name | None = None
        self.gateways = gateways
        self.waits = self.recalls = 0
        self.is_cut_off = self.is_closed = False

    def account(
        self, scope: str, scope_id: str, period: str, tokens: int | None, nanousd: int | None, version: int
    ) -> ScopeAccount:
        """The account of a scope and period; limits as the directory has them now."""
        name = (scope, scope_id, period)
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = ScopeAccount(scope, scope_id, period, tokens, nanousd, version)
            self._paces[name] = GrantPace(account, self._expected, time.monotonic())
            self._by_scope.setdefault((scope, scope_id), set()).add(name)
            self._by_period.setdefault(period, set()).add(name)
            self._count_end_user(name, 1)
        elif version > account.limit_version:
            self.change_limits(account, tokens, nanousd, version)
        return account

    def _count_end_user(self, name: Name, change: int) -> None:
        """How many end users of a project there are in a period: whoever has a key can make up any number of them."""
        if name[0] == "end_user":
            counted = (name[1].partition("/")[0], name[2])
            self.end_users[counted] += change
            if not self.end_users[counted]:
                del self.end_users[counted]

    def find(self, scope: str, scope_id: str) -> list[ScopeAccount]:
        """The accounts of a scope, of all periods."""
        return [self.accounts[name] for name in self._by_scope.get((scope, scope_id), ())]

    def change_limits(self, account: ScopeAccount, tokens: int | None, nanousd: int | None, version: int) -> None:
        """The directory says so: give back what a lowered limit no longer covers; whoever knows the old limit is told."""
        if version <= account.limit_version:
            return
        if account.change_limits(tokens, nanousd, version):
            account.give_back()
        if account.seq:
            self._note(_name(account))

    def now_ms(self) -> int:
        """The moment by which days and months are told (Unix milliseconds): by our clock, or by the authority's where ours is far off."""
        return corrected(time.time_ns() // 1_000_000, self.skew_ms)

    @property
    def is_crowded(self) -> bool:
        """Whether there are so many accounts that first cushions are asked for only by requests."""
        return len(self.accounts) > MOST_EXPECTED

    def expect(self, account: ScopeAccount) -> None:
        """Ask for a first cushion before any request needs it; not where that would be a good part of a small budget."""
        name = _name(account)
        if self._paces[name].deserves_cushion():
            self._note(name)

    def touched(self, account: ScopeAccount, tokens: int, nanousd: int) -> None:
        """A hold was taken on an account that has limits: ask ahead where that is wise."""
        name = _name(account)
        pace = self._paces[name]
        if pace.activate():
            self._active.add(name)
        if pace.touched(tokens, nanousd, time.monotonic()):
            self._note(name)

    def is_exhausted(self, account: ScopeAccount, tokens: int, nanousd: int) -> bool:
        """Whether the authority has just said that so much is not there: asking again at once would not help."""
        return self._paces[_name(account)].is_exhausted(tokens, nanousd, time.monotonic())

    def is_held_elsewhere(self, account: ScopeAccount, tokens: int, nanousd: int) -> bool:
        """Whether the authority has said lately that less is left than is missing: others hold it, or it is spent."""
        return time.monotonic() - account.answered_at < LATELY and self._paces[_name(account)].lacks(tokens, nanousd)

    def waited_in_vain(self, account: ScopeAccount, tokens: int, nanousd: int) -> None:
        """The wait for what others were to return is over: for a moment nobody need wait for as much."""
        self._paces[_name(account)].waited_in_vain(tokens, nanousd, time.monotonic())

    async def wait(self, accounts: Sequence[ScopeAccount], tokens: int, nanousd: int, seconds: float) -> None:
        """Until the authority has answered for this need in all of the accounts, or for `seconds`."""
        self.waits += 1
        now = time.monotonic()
        futures = []
        for account in accounts:
            name = _name(account)
            pace = self._paces[name]
            pace.touched_at = now
            if pace.activate():
                self._active.add(name)
            pause = PAUSE if pace.status in ("recalling", "stale_limits") else 0.0
            futures.append(self.asking.wait(name, (tokens, nanousd), seconds, pause=pause))
        await asyncio.gather(*futures)

    async def look(self, accounts: Sequence[ScopeAccount], seconds: float) -> None:
        """Hear how accounts stand, without asking for anything; what is not answered within `seconds` is as it was."""
        for account in accounts:
            self._paces[_name(account)].only_looks = True
        await asyncio.gather(*(self.asking.wait(_name(account), (0, 0), seconds) for account in accounts))

    def ask_again(self, account: ScopeAccount) -> None:
        """While nobody answers, nobody waits either: then this is what finds out that somebody answers again."""
        name = _name(account)
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
        if self._paces[name].activate():
            self._active.add(name)
        self.asking.note(name)

    async def run(self) -> None:
        """Ask until cancelled."""
        ticker = asyncio.create_task(self._keep_ticking())
        try:
            await self.asking.run()
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)

    async def _exchange(self, needs: dict[Name, list[Amounts]]) -> None:
        now = time.monotonic()
        paces = [self._paces[name] for name in needs]
        asks = tuple(pace.shape(waiting, now) for pace, waiting in zip(paces, needs.values(), strict=True))
        try:
            answer = await self._request(asks)
        finally:
            for pace in paces:
                pace.in_flight = False
        now = time.monotonic()
        for name, pace, one in zip(needs, paces, answer.answers, strict=True):
            pace.take(one, now)
            self._heard(name, pace, one)
            self._last_heard = name

    def _heard(self, name: Name, pace: GrantPace, answer: ScopeAnswer) -> None:
        if answer.status == "closed" and not self.is_closed:
            self.is_closed = True
            log.critical("grants: usage holds this boot for dead: it gets nothing more")
            self._say_closed()
        elif answer.status == "stale_limits":
            self.asking.note_later(name)
        elif pace.owes_return():
            self.asking.note(name)

    async def _request(self, asks: tuple[ScopeAsk, ...]) -> GrantAnswer:
        if not self._client.is_connected:
            raise nats.errors.ConnectionReconnectingError
        body = msgspec.json.encode(GrantAsk(gateway=self._gateway, boot=self._boot, asks=asks))
        reply = await self._client.request(GRANTS_ASK, body, timeout=ASK_TIMEOUT)
        answer = msgspec.json.decode(reply.data, type=GrantAnswer)
        self.skew_ms = answer.answered_at - time.time_ns() // 1_000_000
        self._authority_began = answer.answered_at / 1000 - time.monotonic()
        self.gateways = max(1, answer.gateways)
        self.is_cut_off = False
        return answer

    async def _keep_ticking(self) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            silence = now - (self.asking.answered_at or began)
            self.is_cut_off = silence > self._contact_seconds
            for name in list(self._active):
                self._tick(name, now)
            self.asking.tick()
            if silence > self._contact_seconds / IN_TOUCH:
                self._keep_in_touch()
            # By the authority's clock: ours may jump, and what is forgotten too early would be granted to this boot a second time.
            if self._authority_began is not None:
                self.drop_ended(self._authority_began + now)

    def _keep_in_touch(self) -> None:
        """Ask for nothing: what is granted may be spent only by those who have heard of the authority. Of the account that was heard of
        last, or of the newest where that has been forgotten; where there is none, nothing is held that could be spent.
        """
        name = self._last_heard if self._last_heard in self._paces else next(reversed(self._paces), None)
        if name is not None and not self.asking.is_busy(name):
            self._paces[name].only_looks = True
            self.asking.note(name)

    def _tick(self, name: Name, now: float) -> None:
        if self.asking.is_busy(name):
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
        account = self.accounts[name]
        if account.reserved_tokens or account.reserved_nanousd or self.asking.is_busy(name):
            return
        del self.accounts[name], self._paces[name]
        self._count_end_user(name, -1)
        self._active.discard(name)
        self.asking.forget(name)
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
            now = time.monotonic()
            asks = tuple(self._paces[name].shape((), now) for name in names[start : start + LARGEST_MESSAGE])
            with contextlib.suppress(*UNANSWERED):
                await self._request(asks)


def _name(account: ScopeAccount) -> Name:
    return (account.scope, account.scope_id, account.period)
