"""The simulated world with one rule of either side left out: what the laws must notice."""

from common.contracts.grants import ScopeAnswer, ScopeAsk
from gateway.domain.budget import Hold
from gateway.domain.grant_pace import GrantPace
from tests.unit.budgets.simulated_world import SLICE, Amounts, Authority, Gateway, Limit, Request, World, priced


class SlicesWithoutGrants(World):
    """A stream takes its next slice whether it is covered or not."""

    def extend(self, gateway: Gateway, request: Request) -> bool:
        if gateway.paused:
            return False
        request.hold.force(*priced(SLICE))
        return True


class SettlementForgetsTheOverrun(World):
    """What a request needed beyond its hold is not booked."""

    def settle(self, hold: Hold, spent: Amounts) -> None:
        hold.settle(min(spent[0], hold.tokens), min(spent[1], hold.nanousd))


class HoldsAreGivenBackTwice(World):
    """Settling twice changes something."""

    def settle(self, hold: Hold, spent: Amounts) -> None:
        hold.settle(*spent)
        hold.settled = False
        hold.settle(0, 0)
        hold.settled = True


class TheDeadAreClosedAtOnce(World):
    """A dead boot's grants go back before all that it spent is on the books."""

    def kill(self, gateway: Gateway) -> None:
        super().kill(gateway)
        self.authority.closed.add(gateway.boot)


class SilenceGivesBack(World):
    """What a boot that stands still was promised is promised to others, which is to reclaim on a timer."""

    def hear_ask(self, pick: int, *, again: bool) -> None:
        for gateway in self.gateways:
            if gateway.paused:
                for name in list(gateway.accounts):
                    self.authority.granted.pop((name, gateway.boot), None)
        super().hear_ask(pick, again=again)


class OldAnswersCount(World):
    """An answer to an ask from before the return is adopted."""

    def take(self, pace: GrantPace, answer: ScopeAnswer) -> None:
        account = pace.account
        super().take(pace, answer)
        account.granted_tokens = max(account.granted_tokens, answer.granted_tokens or 0)


class ReturnsAreOnlySaid(World):
    """A boot tells that it has returned, and keeps it."""

    def recall(self, pace: GrantPace) -> bool:
        account = pace.account
        granted = (account.granted_tokens, account.granted_nanousd)
        returned = super().recall(pace)
        if returned:
            self._kept = (pace, granted)
        return returned

    def ask(self, gateway: Gateway, need: int) -> int:
        asked = super().ask(gateway, need)
        kept = getattr(self, "_kept", None)
        if kept is not None:
            kept[0].account.granted_tokens, kept[0].account.granted_nanousd = kept[1]
            self._kept = None
        return asked


class _HighestLimits(Authority):
    """An authority that never learns of lower limits."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, Limit] = {}

    def answer(self, boot: str, ask: ScopeAsk, limit: Limit, version: int, gateways: int) -> ScopeAnswer:
        seen = self._seen.get(ask.scope, (0, 0))
        highest: Limit = tuple(None if it is None else max(it, old or 0) for it, old in zip(limit, seen, strict=True))  # type: ignore[assignment] # of two
        self._seen[ask.scope] = highest
        return super().answer(boot, ask, highest, version, gateways)


class LoweredLimitsAreIgnored(World):
    """More is promised although the limit, as it is now, is passed."""

    def __init__(self, seed: int, *, gateways: int, project_limit: int, key_limit: int) -> None:
        super().__init__(seed, gateways=gateways, project_limit=project_limit, key_limit=key_limit)
        self.authority = _HighestLimits()


class _Generous(Authority):
    """An authority that does not count what others hold."""

    def promised_elsewhere(self) -> int:
        return 0

    def answer(self, boot: str, ask: ScopeAsk, limit: Limit, version: int, gateways: int) -> ScopeAnswer:
        hidden = {key: row for key, row in self.granted.items() if key[1] != boot}
        for key in hidden:
            del self.granted[key]
        answer = super().answer(boot, ask, limit, version, gateways)
        self.granted |= hidden
        return answer


class WhatOthersHoldIsForgotten(World):
    """Each boot is granted as if it were alone."""

    def __init__(self, seed: int, *, gateways: int, project_limit: int, key_limit: int) -> None:
        super().__init__(seed, gateways=gateways, project_limit=project_limit, key_limit=key_limit)
        self.authority = _Generous()


FAULTY: tuple[type[World], ...] = (
    SlicesWithoutGrants,
    SettlementForgetsTheOverrun,
    HoldsAreGivenBackTwice,
    TheDeadAreClosedAtOnce,
    SilenceGivesBack,
    OldAnswersCount,
    ReturnsAreOnlySaid,
    LoweredLimitsAreIgnored,
    WhatOthersHoldIsForgotten,
)
