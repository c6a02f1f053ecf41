"""The arithmetic of the key measurements: quantiles, and whether two kinds of answers take equally long. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""Of each of the two one-sided tests; their interval is then one of 90 %."""

TRIMMED = 0.25
"""Share cut off at either end of the differences, for where others run too, most of the spread has nothing to do with keys."""


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Count, p50, p99 and max; count alone of nothing."""
    if not values:
        return {"count": 0}
    figures = {"p50": quantile(values, 0.5), "p99": quantile(values, 0.99), "max": max(values)}
    return {"count": len(values), **{name: round(value, digits) for name, value in figures.items()}}


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests on paired differences: equivalent if the whole interval of the mean lies within ± the bound."""

    mean: float
    low: float
    high: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether a difference as large as the bound is ruled out in both directions."""
        return -self.bound < self.low and self.high < self.bound


def equivalence(first: Sequence[float], second: Sequence[float], bound: float) -> Equivalence:
    """Of two series measured side by side, by the trimmed mean of their differences with Yuen's standard error."""
    differences = sorted(one - other for one, other in zip(first, second, strict=True))
    count = len(differences)
    cut = int(TRIMMED * count)
    kept = differences[cut : count - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    error = statistics.stdev(winsorized) / ((1 - 2 * TRIMMED) * math.sqrt(count))
    mean, reach = statistics.fmean(kept), statistics.NormalDist().inv_cdf(CONFIDENCE) * error
    return Equivalence(mean, mean - reach, mean + reach, bound)
