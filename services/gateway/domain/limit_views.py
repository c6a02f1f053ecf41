"""Limits as those see them who ask where they stand."""

from datetime import datetime
from typing import Any

from common.contracts.directory import Enforcement
from gateway.domain.budget import ScopeAccount
from gateway.domain.rate_limit import Amount, RateScope


def text_of(moment: datetime) -> str:
    """ISO 8601, UTC as Z."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def held_here(account: ScopeAccount) -> dict[str, int | None]:
    """What this gateway has spent, holds and was granted."""
    return {
        "settled_tokens": account.settled_tokens,
        "settled_nanousd": account.settled_nanousd,
        "held_tokens": account.reserved_tokens,
        "held_nanousd": account.reserved_nanousd,
        "granted_tokens": account.granted_tokens if account.limit_tokens is not None else None,
        "granted_nanousd": account.granted_nanousd if account.limit_nanousd is not None else None,
    }


def rate_views(scope: RateScope, enforcement: Enforcement, now: float) -> list[dict[str, Any]]:
    """One for each limit per minute, and for concurrency, that the scope has. `held`: by other gateways, used or kept ready.

    `resets_in_seconds`: until one more request, or as many tokens as are missing, have left the minute; 0 while there is room.
    """
    window, others = scope.window_at(now), scope.others_now(now)
    kinds = (
        ("requests_per_minute", scope.limit_requests, window.requests, others.requests),
        ("tokens_per_minute", scope.limit_tokens, window.tokens, others.tokens),
        ("concurrency", scope.limit_slots, scope.slots, others.slots),
    )
    return [
        {
            "limit_source": f"{scope.scope}.{kind}",
            "scope": scope.scope,
            "scope_id": scope.scope_id,
            "enforcement": enforcement,
            "limit": limit,
            "used": used,
            "held": held,
            "headroom": max(0, limit - used - held),
            "resets_in_seconds": _seconds(scope, kind, now) if used + held >= limit else 0.0,
        }
        for kind, limit, used, held in kinds
        if limit is not None
    ]


def _seconds(scope: RateScope, kind: str, now: float) -> float:
    if kind == "concurrency":
        return 1.0
    wanted = Amount(requests=1) if kind == "requests_per_minute" else Amount(tokens=1)
    return round(scope.window_at(now).seconds_until(wanted.requests, wanted.tokens, now), 1)
