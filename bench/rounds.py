"""The arithmetic of the report: order of the rounds, medians with spread, ratios and bars. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ONE_TAIL = 0.025


@dataclass(frozen=True)
class Spread:
    """A median and what it was taken from, least and most."""

    median: float
    least: float
    most: float

    def show(self, digits: int = 1, unit: str = "") -> str:
        """`12.3 (11.0-14.2)`."""
        return f"{self.median:,.{digits}f}{unit} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


@dataclass(frozen=True)
class Bar:
    """A promise about a figure: at least or at most the bound; a figure that is None was not measured and passes nothing."""

    name: str
    figure: float | None
    bound: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """None when there is no figure."""
        if self.figure is None:
            return None
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


def abba(systems: Sequence[str], rounds: int) -> list[list[str]]:
    """The order of each round: forwards, backwards, forwards … so that slow drift hits every system alike."""
    return [list(systems) if number % 2 == 0 else list(reversed(systems)) for number in range(rounds)]


def spread(values: Sequence[float]) -> Spread | None:
    """Median, least and most; None of nothing."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def per_unit_us(cpu_seconds: float, units: int) -> float:
    """CPU microseconds spent per request, stream or chunk."""
    return cpu_seconds * 1e6 / units


def ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """Theirs by ours, round by round: of costs, how many times as much we do per CPU second as they do.

    Only rounds that both have count: the machine drifts less within a round than between rounds.
    """
    return spread([theirs[number] / ours[number] for number in sorted(ours.keys() & theirs.keys()) if ours[number] > 0])


def differences(system: Mapping[int, float], base: Mapping[int, float]) -> Spread | None:
    """What the system adds to the base, round by round."""
    return spread([system[number] - base[number] for number in sorted(system.keys() & base.keys())])


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """A 95 % interval of the median, whatever the values are spread like: by their order alone (a sign test turned round).

    None of fewer than six, which cannot give one.
    """
    ordered, count = sorted(values), len(values)
    cut, tail = -1, 0.0
    while (tail := tail + math.comb(count, cut + 1) / 2**count) <= ONE_TAIL:
        cut += 1
    return None if cut < 0 else (ordered[cut], ordered[count - 1 - cut])


def median_of(found: Spread | None, digits: int = 4) -> float | None:
    """The rounded median for the results file, None when nothing was measured."""
    return None if found is None else round(found.median, digits)
