"""A change of an organization's time zone: it counts from the first month on that has begun in the old zone and in the new one.

Until then days and months go on as they began: nothing that was spent moves into another period, and none of them comes twice.
"""

from datetime import datetime
from typing import Any

from common.contracts.periods import period_end, period_month


def changed_time_zone(counting: str, wanted: str, now: datetime) -> dict[str, Any]:
    """What the organization's row takes over. `counting`: the zone by which days are told now."""
    if wanted == counting:
        return {"time_zone": wanted, "earlier_time_zone": None, "time_zone_from": None}
    month = period_month(now, counting)
    begins = max(period_end(month, counting), period_end(month, wanted))
    return {"time_zone": wanted, "earlier_time_zone": counting, "time_zone_from": begins}
