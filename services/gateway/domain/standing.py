"""The accounts that the requests of one caller count against on one day."""

from dataclasses import dataclass

from gateway.domain.budget import ScopeAccount
from gateway.domain.calendar import LocalDay
from gateway.domain.caller import Caller


@dataclass(frozen=True, slots=True)
class Standing:
    """`limited` = any of them has a limit, `binding` = one that refuses,
    `costs_bind` = one in money.
    """

    caller: Caller
    day: LocalDay
    accounts: tuple[ScopeAccount, ...]
    limited: tuple[ScopeAccount, ...]
    binding: bool
    costs_bind: bool


def would_refuse(standing: Standing, tokens: int, nanousd: int) -> tuple[str, ...]:
    """The limits in shadow mode whose grants do not cover so much: what would have been refused."""
    return tuple(
        account.limit_name(account.short_unit(tokens))
        for account in standing.limited
        if account.enforcement == "shadow" and not account.fits(tokens, nanousd)
    )
