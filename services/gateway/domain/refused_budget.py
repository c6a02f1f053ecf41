"""The refusal that a client can act on: which limit, how much of it is used and held, when it begins anew."""

from common.contracts.periods import period_end
from gateway.domain.budget import ScopeAccount
from gateway.domain.refusals import QuotaExceeded
from gateway.domain.refused_rate import WHAT_TO_DO

LONGEST_RETRY_AFTER = 3600


def exceeded(account: ScopeAccount, tokens: int, nanousd: int, time_zone: str, now: float) -> QuotaExceeded:
    """`now` in Unix seconds. What is larger than the whole limit is refused for good."""
    unit = account.short_unit(tokens, nanousd)
    in_tokens = unit == "tokens"
    answer = account.answer
    used = held = 0
    if answer is not None:
        used, held = (answer.used_tokens, answer.held_tokens) if in_tokens else (answer.used_nanousd, answer.held_nanousd)
    needed = tokens if in_tokens else nanousd
    resets_at = period_end(account.period, time_zone)
    limit = (account.limit_tokens if in_tokens else account.limit_nanousd) or 0
    # What is only held may come back at any moment; what is spent does not before the period ends.
    seconds = 1 if used + needed <= limit else int(resets_at.timestamp() - now)
    is_too_large = needed > limit
    refusal = QuotaExceeded(
        _message(account, unit, needed, limit),
        retry_after=None if is_too_large else max(1, min(seconds, LONGEST_RETRY_AFTER)),
        limit_source=account.limit_name(unit),
        scope=account.scope,
        scope_id=account.scope_id,
        period=account.period,
        unit=unit,
        limit=limit,
        used=used,
        held=held,
        needed=needed,
        resets_at=None if is_too_large else resets_at.isoformat().replace("+00:00", "Z"),
    )
    refusal.is_final = is_too_large
    return refusal


def _message(account: ScopeAccount, unit: str, needed: int, limit: int) -> str:
    span = "monthly" if len(account.period) == len("2026-11") else "daily"
    budget = f"the {span} budget of the {account.scope.replace('_', ' ')}"
    if needed > limit > 0:
        return f"Request too large: it may need {needed} {unit}, {budget} is {limit}. {WHAT_TO_DO}"
    return f"This request may need {needed} {unit}, more than {budget} has left."
