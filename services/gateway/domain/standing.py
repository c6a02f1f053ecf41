"""The accounts that the requests of one caller count against on one day."""

from dataclasses import dataclass

from gateway.domain.budget import ScopeAccount
from gateway.domain.calendar import LocalDay
from gateway.domain.caller import Caller


@dataclass(slots=True)
class Standing:
    """Made once per caller and day. `limited`: the accounts that have a limit; `binding`: whose limit refuses; `shadowed`: whose limit
    only says what it would refuse. `largest_*`: the largest hold that was taken on it.
    """

    caller: Caller
    day: LocalDay
    accounts: tuple[ScopeAccount, ...]
    limited: tuple[ScopeAccount, ...]
    binding: tuple[ScopeAccount, ...]
    shadowed: tuple[ScopeAccount, ...]
    costs_bind: bool
    largest_tokens: int = -1
    largest_nanousd: int = -1


def stand(caller: Caller, day: LocalDay, accounts: tuple[ScopeAccount, ...]) -> Standing:
    """Sort them out."""
    limited = tuple(account for account in accounts if account.limited)
    binding = tuple(account for account in limited if account.enforcement == "hard")
    shadowed = tuple(account for account in limited if account.enforcement == "shadow")
    costs_bind = any(account.limit_nanousd is not None for account in binding)
    return Standing(caller, day, accounts, limited, binding, shadowed, costs_bind)


def would_refuse(standing: Standing, tokens: int, nanousd: int) -> tuple[str, ...]:
    """The limits in shadow mode whose grants do not cover so much: what would have been refused."""
    return tuple(
        account.limit_name(account.short_unit(tokens)) for account in standing.shadowed if not account.fits(tokens, nanousd)
    )
