"""Holds on granted budget: per scope and period, settled + reserved + estimate ≤ granted, in every unit that has a limit.

Pure and synchronous: a decision is taken without an await, so no other request can come between its check and its reservation.
"""

from dataclasses import dataclass

from common.contracts.grants import ScopeAnswer


@dataclass(slots=True)
class ScopeAccount:
    """What this boot knows of one scope in one period. All amounts are cumulative since the boot began.

    `limit_*` None = no limit in that unit. `granted_*` is the largest grant answered, lowered only by our own return.
    `elsewhere_*`: what others have used at the least, other gateways and boots before this one.
    `look_at_*`: once so much is settled and reserved, somebody should look whether to ask for more (domain.grant_pace). Never above
    what is granted, in a unit that has a limit.
    """

    scope: str
    scope_id: str
    period: str
    limit_tokens: int | None
    limit_nanousd: int | None
    limit_version: int
    settled_tokens: int = 0
    settled_nanousd: int = 0
    reserved_tokens: int = 0
    reserved_nanousd: int = 0
    granted_tokens: int = 0
    granted_nanousd: int = 0
    seq: int = 0
    returned_seq: int = 0
    answer: ScopeAnswer | None = None
    answered_at: float = 0.0
    elsewhere_tokens: int = 0
    elsewhere_nanousd: int = 0
    look_at_tokens: int = -1
    look_at_nanousd: int = -1

    @property
    def limited(self) -> bool:
        """Whether any unit has a limit."""
        return self.limit_tokens is not None or self.limit_nanousd is not None

    def shortfall(self, tokens: int, nanousd: int) -> tuple[int, int]:
        """By how much the grants miss what a further hold needs; (0, 0) if it fits."""
        missing_tokens = self.settled_tokens + self.reserved_tokens + tokens - self.granted_tokens
        missing_nanousd = self.settled_nanousd + self.reserved_nanousd + nanousd - self.granted_nanousd
        return (
            max(0, missing_tokens) if self.limit_tokens is not None else 0,
            max(0, missing_nanousd) if self.limit_nanousd is not None else 0,
        )

    def beyond(self) -> tuple[int, int]:
        """What was spent and promised beyond the limits, per unit, by the authority's last answer."""
        answer = self.answer
        if answer is None:
            return 0, 0
        return (
            0 if self.limit_tokens is None else max(0, answer.used_tokens + answer.held_tokens - self.limit_tokens),
            0 if self.limit_nanousd is None else max(0, answer.used_nanousd + answer.held_nanousd - self.limit_nanousd),
        )

    def is_too_small(self, tokens: int, nanousd: int) -> bool:
        """Whether a limit is smaller than a further hold alone: it never fits, whatever is spent, and nobody need be asked."""
        return (self.limit_tokens is not None and tokens > self.limit_tokens) or (
            self.limit_nanousd is not None and nanousd > self.limit_nanousd
        )

    def is_spent(self, tokens: int, nanousd: int) -> bool:
        """Whether, by the authority's last answer, what is not spent does not cover a further hold. However old the answer is: what is
        spent stays spent.
        """
        answer = self.answer
        return answer is not None and (
            (self.limit_tokens is not None and answer.used_tokens + tokens > self.limit_tokens)
            or (self.limit_nanousd is not None and answer.used_nanousd + nanousd > self.limit_nanousd)
        )

    def fits(self, tokens: int, nanousd: int) -> bool:
        """Whether a further hold is covered by the grants."""
        return (self.limit_tokens is None or self.settled_tokens + self.reserved_tokens + tokens <= self.granted_tokens) and (
            self.limit_nanousd is None or self.settled_nanousd + self.reserved_nanousd + nanousd <= self.granted_nanousd
        )

    def headroom(self) -> tuple[int, int]:
        """Granted and neither settled nor reserved, per unit."""
        return (
            self.granted_tokens - self.settled_tokens - self.reserved_tokens,
            self.granted_nanousd - self.settled_nanousd - self.reserved_nanousd,
        )

    @property
    def name(self) -> str:
        """Whose budget it is, and of what span: `project.monthly`."""
        return f"{self.scope}.{'monthly' if len(self.period) == len('2026-11') else 'daily'}"

    def limit_name(self, unit: str) -> str:
        """A limit as clients and metrics know it: `project.monthly_cost`."""
        return f"{self.name}_{'tokens' if unit == 'tokens' else 'cost'}"

    def passed_limits(self, tokens: int, nanousd: int) -> list[str]:
        """The limits that a further hold passes, by what is known to be used elsewhere and what is settled and held here."""
        used_tokens = self.elsewhere_tokens + self.settled_tokens + self.reserved_tokens
        used_nanousd = self.elsewhere_nanousd + self.settled_nanousd + self.reserved_nanousd
        passed = []
        if self.limit_tokens is not None and used_tokens + tokens > self.limit_tokens:
            passed.append(self.limit_name("tokens"))
        if self.limit_nanousd is not None and used_nanousd + nanousd > self.limit_nanousd:
            passed.append(self.limit_name("nanousd"))
        return passed

    def hear_used(self, answer: ScopeAnswer, told_tokens: int, told_nanousd: int) -> None:
        """What was not settled here when it was asked for is used by others. What of ours was not booked yet makes that too small, and
        what others have used stays used: so the most counts that was ever heard.
        """
        self.elsewhere_tokens = max(self.elsewhere_tokens, answer.used_tokens - told_tokens)
        self.elsewhere_nanousd = max(self.elsewhere_nanousd, answer.used_nanousd - told_nanousd)

    def short_unit(self, tokens: int, nanousd: int) -> str:
        """The unit that refuses a hold that does not fit: tokens | nanousd; always one that has a limit.

        A grant that is short says little: while one unit is out, the authority raises neither. So a limit that is too small for it comes
        before what is spent by the last answer, that before what others hold, that before what is only not granted yet; and tokens before
        money.
        """
        short_tokens, short_nanousd = self.shortfall(tokens, nanousd)
        answer = self.answer
        used_tokens, held_tokens = (answer.used_tokens, answer.held_tokens) if answer else (0, 0)
        used_nanousd, held_nanousd = (answer.used_nanousd, answer.held_nanousd) if answer else (0, 0)
        by_tokens = _lack(short_tokens, tokens, self.limit_tokens, used_tokens, held_tokens)
        by_nanousd = _lack(short_nanousd, nanousd, self.limit_nanousd, used_nanousd, held_nanousd)
        return "tokens" if by_tokens >= by_nanousd else "nanousd"

    def take_answer(self, answer: ScopeAnswer) -> None:
        """Adopt a grant; one that answers an ask older than our last return is void. A boot that is closed has nothing left to spend."""
        self.answer = answer
        if answer.status == "closed":
            self.granted_tokens = min(self.granted_tokens, self.settled_tokens + self.reserved_tokens)
            self.granted_nanousd = min(self.granted_nanousd, self.settled_nanousd + self.reserved_nanousd)
            self.look_at_tokens = self.look_at_nanousd = -1
            return
        if answer.seq < self.returned_seq:
            return
        if answer.granted_tokens is not None:
            self.granted_tokens = max(self.granted_tokens, answer.granted_tokens)
        if answer.granted_nanousd is not None:
            self.granted_nanousd = max(self.granted_nanousd, answer.granted_nanousd)

    def give_back(self) -> None:
        """Lower our own grant to what is settled or reserved; the next ask tells the authority, older answers become void."""
        self.granted_tokens = min(self.granted_tokens, self.settled_tokens + self.reserved_tokens)
        self.granted_nanousd = min(self.granted_nanousd, self.settled_nanousd + self.reserved_nanousd)
        self.seq += 1
        self.returned_seq = self.seq
        self.look_at_tokens = self.look_at_nanousd = -1

    def change_limits(self, tokens: int | None, nanousd: int | None, version: int) -> bool:
        """Adopt newer limits; True if one was lowered or appeared, so that what is unspent must go back."""
        if version <= self.limit_version:
            return False
        lowered = _lowered(self.limit_tokens, tokens) or _lowered(self.limit_nanousd, nanousd)
        self.limit_tokens, self.limit_nanousd, self.limit_version = tokens, nanousd, version
        self.answer = None
        self.look_at_tokens = self.look_at_nanousd = -1
        return lowered


def _lack(short: int, needed: int, limit: int | None, used: int, held: int) -> int:
    """Why one unit does not cover a hold: 4 = its limit is smaller, 3 = it is spent, 2 = others hold it, 1 = it is not granted; 0 = it
    covers it, -1 = it has no limit.
    """
    if limit is None:
        return -1
    if needed > limit:
        return 4
    if short <= 0:
        return 0
    return 3 if used + needed > limit else 2 if used + held + short > limit else 1


def _lowered(before: int | None, after: int | None) -> bool:
    return after is not None and (before is None or after < before)


class Hold:
    """What one request has reserved, in every account it counts against. It may grow until it is settled, exactly once.

    `binding`: those of them whose limits refuse; all, unless told.
    """

    __slots__ = ("accounts", "binding", "nanousd", "settled", "tokens")

    def __init__(self, accounts: tuple[ScopeAccount, ...], binding: tuple[ScopeAccount, ...] | None = None) -> None:
        self.accounts = accounts
        self.binding = accounts if binding is None else binding
        self.tokens = self.nanousd = 0
        self.settled = False

    def take_free(self, tokens: int, nanousd: int) -> bool:
        """Reserve so much more in all accounts if that brings none to the point where somebody should look; until then grants cover it.

        For holds on accounts that all have limits that refuse, or none.
        """
        for account in self.binding:
            if (
                account.settled_tokens + account.reserved_tokens + tokens > account.look_at_tokens
                or account.settled_nanousd + account.reserved_nanousd + nanousd > account.look_at_nanousd
            ):
                return False
        self.force(tokens, nanousd)
        return True

    def try_take(self, tokens: int, nanousd: int) -> bool:
        """Reserve so much more in all accounts, or nothing in any if a limit that refuses does not cover it."""
        if self.blocking(tokens, nanousd) is not None:
            return False
        self.force(tokens, nanousd)
        return True

    def blocking(self, tokens: int, nanousd: int) -> ScopeAccount | None:
        """The first account whose limit refuses so much more."""
        for account in self.binding:
            # As `fits`, written out: this is asked of every account at every request.
            if (
                account.limit_tokens is not None
                and account.settled_tokens + account.reserved_tokens + tokens > account.granted_tokens
            ) or (
                account.limit_nanousd is not None
                and account.settled_nanousd + account.reserved_nanousd + nanousd > account.granted_nanousd
            ):
                return account
        return None

    def all_blocking(self, tokens: int, nanousd: int) -> list[ScopeAccount]:
        """Every account whose limit refuses so much more."""
        return [account for account in self.binding if not account.fits(tokens, nanousd)]

    def force(self, tokens: int, nanousd: int) -> None:
        """Reserve so much more, covered or not: by a policy that says so."""
        for account in self.accounts:
            account.reserved_tokens += tokens
            account.reserved_nanousd += nanousd
        self.tokens += tokens
        self.nanousd += nanousd

    def settle(self, tokens: int, nanousd: int) -> None:
        """Give the reservation back and book what was spent; a second call changes nothing."""
        if self.settled:
            return
        self.settled = True
        held_tokens, held_nanousd = self.tokens, self.nanousd
        for account in self.accounts:
            account.reserved_tokens -= held_tokens
            account.reserved_nanousd -= held_nanousd
            account.settled_tokens += tokens
            account.settled_nanousd += nanousd
