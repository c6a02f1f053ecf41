"""Percentiles from logarithmic buckets: counts add up over days and processes, each estimate is within 5 % of the truth."""

import math
from collections.abc import Mapping

ACCURACY = 0.05
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(GAMMA)
SMALLEST_US = 1_000
LARGEST_US = 600_000_000


def bucket_of(microseconds: int) -> int:
    """The bucket of a duration; below a millisecond and above ten minutes everything shares one."""
    clamped = min(max(microseconds, SMALLEST_US), LARGEST_US)
    return math.ceil(math.log(clamped / SMALLEST_US) / _LOG_GAMMA)


def middle_of(bucket: int) -> float:
    """The duration in microseconds that stands for a bucket: nowhere in it is the relative error larger than 5 %."""
    return SMALLEST_US * 2 * GAMMA**bucket / (GAMMA + 1)


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The q-quantile (0…1) in microseconds, None without observations."""
    total = sum(counts.values())
    if total == 0:
        return None
    rank, seen = max(1, math.ceil(q * total)), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return middle_of(bucket)
    return None
