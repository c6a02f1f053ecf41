"""The accounts that the requests of one caller count against on one day."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from common.contracts.directory import Enforcement
from gateway.domain.budget import ScopeAccount
from gateway.domain.calendar import LocalDay
from gateway.domain.caller import Caller
from gateway.domain.estimate import Mode
from gateway.domain.limit_list import write_limits


@dataclass(slots=True)
class Standing:
    """Made once per caller, end user and day. `limited`: the accounts that have a limit, and what it does; `binding`: whose limit refuses;
    `shadowed`: whose limit only says what it would refuse; `all_bind`: every limit refuses. `costs_are_limited`: one is of money,
    whatever it does; `costs_bind`: and it refuses. `mode`: how its requests are estimated and held, whatever the limits do, "" where
    nothing limits tokens or money. `largest_*`: the largest hold that was taken on it.
    """

    caller: Caller
    day: LocalDay
    accounts: tuple[ScopeAccount, ...]
    limited: tuple[tuple[ScopeAccount, Enforcement], ...]
    binding: tuple[ScopeAccount, ...]
    shadowed: tuple[ScopeAccount, ...]
    costs_are_limited: bool
    costs_bind: bool
    all_bind: bool
    mode: Mode | Literal[""]
    limit_names: str
    largest_tokens: int = -1
    largest_nanousd: int = -1

    @property
    def zone(self) -> str:
        """The time zone of its day."""
        return self.day.zone


def stand(
    caller: Caller, day: LocalDay, counted: Sequence[tuple[ScopeAccount, Enforcement]], *, limits_the_minute: bool = False
) -> Standing:
    """Sort the accounts out. `limits_the_minute`: something that its requests count against limits the tokens of a minute."""
    limited = tuple((account, enforcement) for account, enforcement in counted if account.limited)
    binding = tuple(account for account, enforcement in limited if enforcement == "hard")
    return Standing(
        caller=caller,
        day=day,
        accounts=tuple(account for account, _ in counted),
        limited=limited,
        binding=binding,
        shadowed=tuple(account for account, enforcement in limited if enforcement == "shadow"),
        costs_are_limited=any(account.limit_nanousd is not None for account, _ in limited),
        costs_bind=any(account.limit_nanousd is not None for account in binding),
        all_bind=len(binding) == len(limited),
        mode=caller.project.budget_mode if limited or limits_the_minute else "",
        limit_names=write_limits(account.name for account, _ in limited),
    )


def would_refuse(standing: Standing, tokens: int, nanousd: int) -> tuple[str, ...]:
    """The limits in shadow mode that so much more would pass, by what is known to be used: what would have been refused.

    What no grant covers is no refusal yet: a request that would be refused for it waits for one.
    """
    return tuple(name for account in standing.shadowed for name in account.passed_limits(tokens, nanousd))
