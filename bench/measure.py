"""The measurements: warm-up, interleaved closed-loop rounds, and added latency at a quarter of our greatest load."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.driver import Cell, Driver
from bench.peers.system import System, Unfit
from bench.rounds import Spread, abba, differences, per_unit_us, spread

Say = Callable[[str], None]


@dataclass
class Series:
    """The cells of one system in one mode, by round; a fault voids them all."""

    cells: dict[int, Cell] = field(default_factory=dict)

    def by_round(self, value: Callable[[Cell], float]) -> dict[int, float]:
        """One figure per round."""
        return {number: value(cell) for number, cell in self.cells.items()}

    def spread(self, value: Callable[[Cell], float]) -> Spread | None:
        """The figure's median over the rounds, with its spread."""
        return spread(list(self.by_round(value).values()))


@dataclass
class Faults:
    """What went wrong, by system; a system in here has no result at all."""

    found: dict[str, str] = field(default_factory=dict)

    def guard(self, system: System, drive: Callable[[System], Cell]) -> Cell | None:
        """What driving the system gave, or None when it failed, now or earlier."""
        if system.name in self.found:
            return None
        try:
            return drive(system)
        except Unfit as fault:
            self.found[system.name] = str(fault)
            return None


def cpu_us(cell: Cell) -> float:
    """CPU µs per request."""
    return per_unit_us(cell.cpu, cell.load.ok)


def cpu_us_per_chunk(cell: Cell) -> float:
    """CPU µs per event of a stream."""
    return per_unit_us(cell.cpu, cell.load.chunks)


def warm_up(driver: Driver, systems: Sequence[System], faults: Faults, say: Say, *, streams: bool = True) -> None:
    """Drive each system until its caches and its just-in-time compiler have seen the work."""
    for system in systems:
        for stream in (False, True) if streams and system.streams else (False,):
            say(f"warm-up {system.name}{' (stream)' if stream else ''}")
            faults.guard(system, partial(flat_out, driver, stream=stream, seconds=system.warm_up_seconds))


def flat_out(driver: Driver, system: System, *, stream: bool, seconds: float) -> Cell:
    """The system's greatest rate: a closed loop with as many connections as suit it."""
    connections = system.stream_connections if stream else system.connections
    return driver.closed_loop(system, stream=stream, connections=connections, seconds=seconds)


def interleave(
    systems: Sequence[System], faults: Faults, drive: Callable[[System], Cell], *, rounds: int, label: str, say: Say
) -> dict[str, Series]:
    """Drive each system once a round, in ABBA order; a system that fails once is left alone from then on."""
    named = {system.name: system for system in systems}
    series = {name: Series() for name in named}
    for number, order in enumerate(abba(list(named), rounds)):
        for name in order:
            cell = faults.guard(named[name], drive)
            if cell is not None:
                series[name].cells[number] = cell
                say(f"{label} {number + 1}/{rounds}  {name:14} {_brief(cell)}")
    return series


def added(series: Mapping[str, Series], name: str, value: Callable[[Cell], float]) -> Spread | None:
    """What a system adds over direct, round by round; None when either is missing."""
    if name not in series or "direct" not in series:
        return None
    return differences(series[name].by_round(value), series["direct"].by_round(value))


def _brief(cell: Cell) -> str:
    load = cell.load
    cost = f"{cpu_us(cell):9.1f} CPU µs" if cell.cpu else " " * 16
    first = f"  first event p50 {load.ttft_p50_ms:.2f} ms" if load.chunks else ""
    return f"{load.rps:9,.0f}/s {cost}  p50 {load.p50_ms:.2f} ms  p99 {load.p99_ms:.2f} ms{first}"
