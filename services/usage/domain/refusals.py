"""What booked events tell of the budgets that refused them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from common.contracts.events import INSUFFICIENT_QUOTA, RequestSettled

Budget = tuple[str, str, str, str]
"""scope, scope_id, period, unit."""

_UNITS = {"tokens": "tokens", "cost": "nanousd"}


def refused_needs(events: Iterable[RequestSettled]) -> Mapping[Budget, set[int]]:
    """The budgets that refused a request, or the rest of a stream, and how much more of them each needed; 0 where it is not told."""
    needs: defaultdict[Budget, set[int]] = defaultdict(set)
    for event in events:
        if event.error_code == INSUFFICIENT_QUOTA and (budget := _refusing_budget(event)) is not None:
            needs[budget].add(event.decision.needed)
    return needs


def _refusing_budget(event: RequestSettled) -> Budget | None:
    """None where the event names none that we know (`project.daily_cost`)."""
    scope, _, kind = event.decision.limit.partition(".")
    span, _, unit = kind.partition("_")
    scope_id = _scope_ids(event).get(scope)
    period = {"monthly": event.period_month, "daily": event.period_day}.get(span)
    if scope_id is None or period is None or unit not in _UNITS:
        return None
    return scope, scope_id, period, _UNITS[unit]


def _scope_ids(event: RequestSettled) -> dict[str, str]:
    """Whose budgets it counts against, as the ledger names them."""
    return {
        "organization": event.organization_id,
        "project": event.project_id,
        "key": event.key_id,
        "member": f"{event.organization_id}/{event.owner_id}",
        "end_user": f"{event.project_id}/{event.end_user}",
    }
