"""Turns the measurements into the results file and the table that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.driver import Cell
from bench.limits import LimitsFindings, as_results
from bench.measure import Series, added, cpu_us, cpu_us_per_chunk
from bench.peers.system import System
from bench.rounds import Bar, Spread, median_of, ratios, spread

PEERS = ("litellm", "portkey", "nginx")
NAMES = {
    "direct": "direct",
    "nginx": "nginx",
    "ours": "CodexFlow",
    "portkey": "Portkey",
    "litellm": "LiteLLM",
}
NOISE = (
    "Rates on a shared machine drift by tens of per cent between runs: compare within a run, by CPU time per request. "
    "Differences under a quarter mean nothing. Both cores share caches, and loopback has no network in it."
)


@dataclass
class Findings:
    """All that a run found; what was not measured is None or absent."""

    systems: Sequence[System]
    rounds: int
    seconds: float
    once: Mapping[str, Series] = field(default_factory=dict)
    stream: Mapping[str, Series] = field(default_factory=dict)
    quarter_once: Mapping[str, Series] = field(default_factory=dict)
    quarter_stream: Mapping[str, Series] = field(default_factory=dict)
    quarter_rates: Mapping[str, float] = field(default_factory=dict)
    idle_pss_mb: float | None = None
    loaded_pss_mb: float | None = None
    ready: Spread | None = None
    beside_us: float | None = None
    ledger: Mapping[str, int] | None = None
    limits: LimitsFindings | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, Spread | None]:
        """Our requests (streams: events) per CPU second as a multiple of each peer's."""
        found = {name: cost_ratio(self.once, name, stream=False) for name in PEERS}
        return found | {"stream_nginx": cost_ratio(self.stream, "nginx", stream=True)}

    @property
    def foreign_share(self) -> Spread | None:
        """How much of the system's core others took, cell by cell: above a tenth, the figures are not worth keeping."""
        tables = (self.once, self.stream, self.quarter_once, self.quarter_stream)
        return spread([cell.foreign for table in tables for series in table.values() for cell in series.cells.values()])

    @property
    def added_p50(self) -> Spread | None:
        """Added median latency at a quarter of our greatest rate, in ms."""
        return added(self.quarter_once, "ours", lambda cell: cell.load.p50_ms)

    @property
    def added_ttft(self) -> Spread | None:
        """Added median time to the first event at a quarter of our greatest stream rate, in ms."""
        return added(self.quarter_stream, "ours", lambda cell: cell.load.ttft_p50_ms)

    @property
    def limits_ratio(self) -> float | None:
        """CPU time of a request that everything limits, as a multiple of one that nothing does."""
        cost = self.limits.cost("limits-all") if self.limits else None
        return cost and round(cost.ratio.median, 4)

    @property
    def admission_p99(self) -> float | None:
        """Of an admission with five scopes, in µs."""
        return self.limits.admission.p99 if self.limits and self.limits.admission else None

    @property
    def bars(self) -> list[Bar]:
        """What this project promises of itself."""
        found = {name: median_of(value) for name, value in self.ratios.items()}
        return [
            Bar("requests per CPU second, × LiteLLM", found["litellm"], 80, at_least=True, unit="×"),
            Bar("requests per CPU second, × Portkey", found["portkey"], 8, at_least=True, unit="×"),
            Bar("requests per CPU second, × nginx", found["nginx"], 0.15, at_least=True, unit="×"),
            Bar("stream events per CPU second, × nginx", found["stream_nginx"], 0.5, at_least=True, unit="×"),
            Bar("added p50 at a quarter of our load", median_of(self.added_p50), 1.0, at_least=False, unit=" ms"),
            Bar("added time to first event, same", median_of(self.added_ttft), 2.0, at_least=False, unit=" ms"),
            Bar("a request with all limits, × one without", self.limits_ratio, 1.15, at_least=False, unit="×"),
            Bar("admission with five scopes, p99", self.admission_p99, 50, at_least=False, unit=" µs"),
            Bar("memory of an idle worker (PSS)", self.idle_pss_mb, 90, at_least=False, unit=" MB"),
            Bar("process start to ready", median_of(self.ready), 1.5, at_least=False, unit=" s"),
        ]


def request_rate(cell: Cell) -> float:
    """Answers (streams: whole ones) per second."""
    return cell.load.rps


def chunk_rate(cell: Cell) -> float:
    """Events of streams per second."""
    return cell.load.chunks_s


def cost_ratio(series: Mapping[str, Series], name: str, *, stream: bool) -> Spread | None:
    """Our requests (events) per CPU second as a multiple of a peer's: what is judged."""
    if name not in series or "ours" not in series:
        return None
    cost = cpu_us_per_chunk if stream else cpu_us
    return ratios(series["ours"].by_round(cost), series[name].by_round(cost))


def rate_ratio(series: Mapping[str, Series], name: str, *, stream: bool) -> Spread | None:
    """Our requests (events) per second as a multiple of a peer's: shown only, since the load core may be what limits."""
    if name not in series or "ours" not in series:
        return None
    rate = chunk_rate if stream else request_rate
    return ratios(series[name].by_round(rate), series["ours"].by_round(rate))


def _row(series: Series, system: System, *, stream: bool) -> dict[str, Any] | None:
    if not series.cells:
        return None
    cost = series.spread(cpu_us) if system.roots else None
    row: dict[str, Any] = {
        "cpu_us": median_of(cost, 2),
        "cpu_us_range": [round(cost.least, 2), round(cost.most, 2)] if cost else None,
        "rps": median_of(series.spread(request_rate), 1),
        "p50_ms": median_of(series.spread(lambda cell: cell.load.p50_ms)),
        "p99_ms": median_of(series.spread(lambda cell: cell.load.p99_ms)),
    }
    row["connections"] = system.stream_connections if stream else system.connections
    if stream:
        row["chunks_s"] = median_of(series.spread(chunk_rate), 1)
        row["cpu_us_per_chunk"] = median_of(series.spread(cpu_us_per_chunk), 3) if system.roots else None
        row["ttft_p50_ms"] = median_of(series.spread(lambda cell: cell.load.ttft_p50_ms))
    return row


def results(found: Findings) -> dict[str, Any]:
    """What `results.json` holds."""
    by_name = {system.name: system for system in found.systems}
    tables = {}
    for name, series in (("nonstream", found.once), ("stream", found.stream)):
        tables[name] = {
            system: _row(series[system], by_name[system], stream=name == "stream") if system in series else None
            for system in NAMES
        }
    return tables | {
        "ratios": {name: median_of(value) for name, value in found.ratios.items()},
        "rps_ratios": {name: median_of(rate_ratio(found.once, name, stream=False)) for name in PEERS}
        | {"stream_nginx": median_of(rate_ratio(found.stream, "nginx", stream=True))},
        "ratio_ranges": {name: [round(v.least, 4), round(v.most, 4)] if v else None for name, v in found.ratios.items()},
        "added_p50_ms": median_of(found.added_p50),
        "added_ttft_ms": median_of(found.added_ttft),
        "quarter_rates": {name: round(rate, 1) for name, rate in found.quarter_rates.items()},
        "idle_pss_mb": found.idle_pss_mb,
        "loaded_pss_mb": found.loaded_pss_mb,
        "ready_s": median_of(found.ready, 3),
        "stack_beside_gateway_cpu_us": found.beside_us,
        "ledger": dict(found.ledger) if found.ledger else None,
        "limits": as_results(found.limits) if found.limits else None,
        "foreign_core_share": median_of(found.foreign_share, 3),
        "bars": [{"name": bar.name, "figure": bar.figure, "bound": bar.bound, "met": bar.met} for bar in found.bars],
        "rounds": found.rounds,
        "seconds": found.seconds,
        "versions": {system.name: system.version for system in found.systems} | dict(found.versions),
        "settings": {system.name: system.settings for system in found.systems},
        "no_streams": {system.name: system.no_streams for system in found.systems if not system.streams},
        "left_out": dict(found.left_out),
        "faults": dict(found.faults),
    }
