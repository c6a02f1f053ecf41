"""Prints the findings: what ran where, the tables, the bars, and loudly what is void."""

from collections.abc import Mapping

from bench.limits import lines
from bench.measure import Series, added, cpu_us, cpu_us_per_chunk
from bench.peers.system import System
from bench.processes import Cores
from bench.report import NAMES, NOISE, PEERS, Findings, chunk_rate, cost_ratio, rate_ratio, request_rate
from bench.rounds import Bar, Spread

BUSY_MACHINE = 0.1
RULE = "─" * 118


def _shown(found: Spread | None, digits: int) -> str:
    return found.show(digits) if found else "–"


def _middle(found: Spread | None) -> str:
    return f"{found.median:.2f}" if found else "–"


def print_ground(found: Findings, cores: Cores) -> None:
    """Versions, settings and cores."""
    print(f"\n{RULE}\nWhat ran where")
    print(f"  core {cores.system}: the system under test, alone (the other systems idle there)")
    print(f"  core {cores.rest}: load generator, mock upstream, NATS, usage, accounts, PostgreSQL, Valkey")
    if cores.shared:
        print("  ONE CORE ONLY: everything shared it, so these figures are worth little")
    for system in found.systems:
        print(f"  {NAMES[system.name]:10} {system.version:24} {system.settings}")
    print("  " + ", ".join(f"{name} {version}" for name, version in found.versions.items()))
    print(f"  {found.rounds} rounds of {found.seconds:g} s a cell, ABBA; median (least–most); {NOISE}")


def _table(title: str, series: Mapping[str, Series], found: Findings, *, stream: bool) -> None:
    unit = "event" if stream else "request"
    print(f"\n{title}")
    print(f"  {'':10} {'CPU µs/' + unit:>28} {unit + 's/s':>28} {'p50 ms':>9} {'p99 ms':>9}  ours by CPU time, by {unit}s/s")
    by_name: dict[str, System] = {system.name: system for system in found.systems}
    for name in NAMES:
        if name in series and series[name].cells:
            print(_line(series, by_name[name], stream=stream))
        else:
            print(f"  {NAMES[name]:10} {_why_absent(name, found, stream=stream)}")


def _line(series: Mapping[str, Series], system: System, *, stream: bool) -> str:
    cells, name = series[system.name], system.name
    cost = cells.spread(cpu_us_per_chunk if stream else cpu_us) if system.roots else None
    rate = cells.spread(chunk_rate if stream else request_rate)
    p50, p99 = cells.spread(lambda cell: cell.load.p50_ms), cells.spread(lambda cell: cell.load.p99_ms)
    times = ""
    if name in PEERS and (by_cpu := cost_ratio(series, name, stream=stream)) is not None:
        times = f"× {by_cpu.show(2)}, × {_shown(rate_ratio(series, name, stream=stream), 2)}"
    milliseconds = f"{_middle(p50):>9} {_middle(p99):>9}"
    return f"  {NAMES[name]:10} {_shown(cost, 2):>28} {_shown(rate, 0):>28} {milliseconds}  {times}"


def _why_absent(name: str, found: Findings, *, stream: bool) -> str:
    if name in found.faults:
        return "NO RESULT, see below"
    if name in found.left_out:
        return f"left out: {found.left_out[name]}"
    silent = [system.no_streams for system in found.systems if system.name == name and stream and not system.streams]
    return f"not measured: {silent[0]}" if silent else "not asked for"


def _print_bar(bar: Bar) -> None:
    words = {True: "pass", False: "FAIL", None: "not measured"}
    figure = "–" if bar.figure is None else f"{bar.figure:,.3g}{bar.unit}"
    print(f"  {words[bar.met]:13} {bar.name:40} {figure:>12}   ({'≥' if bar.at_least else '≤'} {bar.bound:g}{bar.unit})")


def _print_quarter(found: Findings) -> None:
    for mode, series, value, title in (
        ("nonstream", found.quarter_once, lambda cell: cell.load.p50_ms, "p50"),
        ("stream", found.quarter_stream, lambda cell: cell.load.ttft_p50_ms, "p50 to first event"),
    ):
        if mode not in found.quarter_rates:
            continue
        print(f"\nAdded over direct at {found.quarter_rates[mode]:,.0f}/s {mode} (a quarter of our greatest rate), {title}, ms")
        for name in series:
            extra = added(series, name, value)
            print(f"  {NAMES[name]:10} {_shown(series[name].spread(value), 3):>28}   added {_shown(extra, 3)}")


def _print_beside(found: Findings) -> None:
    if found.loaded_pss_mb is not None:
        beside = "–" if found.beside_us is None else f"{found.beside_us:,.1f}"
        print(f"\nGateway after the load: {found.loaded_pss_mb:.0f} MB; the rest of our stack: {beside} CPU µs/request")
    if found.ledger is not None:
        booked, accepted = found.ledger["booked"], found.ledger["accepted"]
        print(f"Ledger: {booked:,} requests booked, {accepted:,} accepted: {'equal' if booked == accepted else 'NOT EQUAL'}")


def _print_foreign(found: Findings) -> None:
    if (share := found.foreign_share) is None:
        return
    print(f"Others took {share.median:.0%} of the system's core ({share.least:.0%}–{share.most:.0%}, cell by cell)")
    if share.median > BUSY_MACHINE:
        print("!!! THE MACHINE IS BUSY with something else: caches and CPU time are shared, so don't keep these figures")


def print_findings(found: Findings, cores: Cores) -> None:
    """The whole report."""
    print_ground(found, cores)
    _table("Non-stream, upstream answers at once", found.once, found, stream=False)
    _table("Stream, 23 events 2 ms apart", found.stream, found, stream=True)
    _print_quarter(found)
    if found.limits is not None:
        print(f"\nWhat limits cost, CPU µs/request, {found.limits.rounds} rounds")
        print("\n".join(lines(found.limits)))
    _print_beside(found)
    _print_foreign(found)
    print("\nBars")
    for bar in found.bars:
        _print_bar(bar)
    for name, fault in found.faults.items():
        print(f"\n!!! NO RESULT for {NAMES.get(name, name)}: {fault}")
