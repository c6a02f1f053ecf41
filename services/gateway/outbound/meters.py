"""Counters of the hot path: plain integers, collected for Prometheus when asked. No tenant appears in a label."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.contracts.events import RequestSettled


class Meters:
    """Incremented by the event loop alone."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.would_refuse: Counter[str] = Counter()
        self.no_grant: Counter[str] = Counter()
        self.slices = 0
        self.prompt_tokens = self.completion_tokens = self.cost_nanousd = self.latency_us = 0

    def settled(self, event: RequestSettled) -> None:
        """A request has been settled."""
        self.requests[event.status, event.tier, event.cache] += 1
        self.prompt_tokens += event.prompt_tokens
        self.completion_tokens += event.completion_tokens
        self.cost_nanousd += event.cost_nanousd
        self.latency_us += event.latency_us
        decision = event.decision
        self.slices += decision.slices
        for limit in decision.would_refuse:
            self.would_refuse[limit] += 1
        if decision.no_grant:
            self.no_grant[decision.no_grant] += 1

    def refused(self, code: str) -> None:
        """A request has been refused before or instead of an answer."""
        self.refusals[code] += 1


class MetersCollector(Collector):
    """Counters plus gauges that are read when Prometheus asks; `gauges` maps (name, help) to a reader."""

    def __init__(self, meters: Meters, gauges: dict[tuple[str, str], Callable[[], float]]) -> None:
        self._meters = meters
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """One family per counter and gauge."""
        requests = CounterMetricFamily("codexflow_gateway_requests", "Settled requests", labels=("status", "tier", "cache"))
        for labels, count in list(self._meters.requests.items()):
            requests.add_metric(labels, count)
        yield requests
        refusals = CounterMetricFamily("codexflow_gateway_refusals", "Refusals by code", labels=("code",))
        for code, count in list(self._meters.refusals.items()):
            refusals.add_metric((code,), count)
        yield refusals
        shadow = CounterMetricFamily(
            "codexflow_gateway_would_refuse",
            "Requests that limits in shadow mode would have refused, by limit or code",
            labels=("limit",),
        )
        for limit, count in list(self._meters.would_refuse.items()):
            shadow.add_metric((limit,), count)
        yield shadow
        without = CounterMetricFamily(
            "codexflow_gateway_without_grant", "Requests let pass by policy while no grant could be had", labels=("policy",)
        )
        for policy, count in list(self._meters.no_grant.items()):
            without.add_metric((policy,), count)
        yield without
        yield CounterMetricFamily("codexflow_gateway_slices", "Extensions of streams' holds", value=self._meters.slices)
        tokens = CounterMetricFamily("codexflow_gateway_tokens", "Tokens charged", labels=("kind",))
        tokens.add_metric(("prompt",), self._meters.prompt_tokens)
        tokens.add_metric(("completion",), self._meters.completion_tokens)
        yield tokens
        yield CounterMetricFamily("codexflow_gateway_cost_nanousd", "Money charged, nano-USD", value=self._meters.cost_nanousd)
        yield CounterMetricFamily(
            "codexflow_gateway_latency_seconds", "Sum of request latencies", value=self._meters.latency_us / 1e6
        )
        for (name, help_text), read in self._gauges.items():
            yield GaugeMetricFamily(name, help_text, value=read())
