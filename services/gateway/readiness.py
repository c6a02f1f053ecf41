"""What the gateway says of itself: readiness by dependency, and gauges for Prometheus. Read from memory only."""

import time
from collections.abc import Callable

from nats.aio.client import Client

from common.health import Dependency, State
from gateway.domain.directory_view import DirectoryView
from gateway.inbound.hot_path import HotPath
from gateway.outbound.directory_feed import DirectoryFeed
from gateway.outbound.event_publisher import EventPublisher
from gateway.outbound.event_spool.spool import EventSpool
from gateway.outbound.grants import Grants
from gateway.outbound.rates import Rates
from gateway.outbound.response_cache import ResponseCache
from gateway.outbound.upstream.client import UpstreamClient

MAX_SKEW_MS = 30_000
SKEW_ALARM_MS = 2_000
FRESH_SECONDS = 3.0


def readiness(
    is_draining: Callable[[], bool],
    view: DirectoryView,
    feed: DirectoryFeed,
    spool: EventSpool,
    client: Client,
    grants: Grants,
    cache: ResponseCache | None,
) -> Callable[[], list[Dependency]]:
    """The check behind /readyz: unready without a loaded directory, a writable spool, a sane clock, or while draining."""

    def check() -> list[Dependency]:
        age = feed.age
        keys = view.count("key")
        loaded = age is not None and bool(view.complete or keys)
        directory = Dependency(
            "directory",
            "down" if not loaded else "up" if age is not None and age < FRESH_SECONDS else "degraded",
            needed=True,
            age_seconds=age,
            detail=f"{view.count('key')} keys{'' if view.complete else ', not known to be complete'}",
        )
        writable = spool.accepts_starts
        skew = abs(grants.skew_ms)
        clock: State = "down" if skew > MAX_SKEW_MS else "degraded" if skew > SKEW_ALARM_MS else "up"
        answered = None if grants.asking.answered_at is None else time.monotonic() - grants.asking.answered_at
        cut_off = grants.is_cut_off
        return [
            Dependency("serving", "down" if is_draining() or grants.is_closed else "up", needed=True),
            directory,
            Dependency("spool", "up" if writable else "down", needed=True, detail=f"{spool.backlog} events to ship"),
            Dependency("clock", clock, needed=True, detail=f"{grants.skew_ms} ms off"),
            Dependency("bus", "up" if client.is_connected else "down", needed=False),
            Dependency(
                "grants", "up" if answered is not None and not cut_off else "degraded", needed=False, age_seconds=answered
            ),
            *([Dependency("cache", "down" if cache.is_open else "up", needed=False)] if cache else []),
        ]

    return check


def gauges(
    hot: HotPath,
    view: DirectoryView,
    feed: DirectoryFeed,
    publisher: EventPublisher,
    grants: Grants,
    rates: Rates,
    upstream: UpstreamClient,
    cache: ResponseCache | None,
) -> dict[tuple[str, str], Callable[[], float]]:
    """Name and help of each gauge, and how to read it."""
    prefix = "codexflow_gateway_"
    found: dict[tuple[str, str], Callable[[], float]] = {
        (f"{prefix}in_flight", "Requests being answered"): lambda: hot.in_flight,
        (f"{prefix}directory_keys", "API keys in the local view"): lambda: view.count("key"),
        (f"{prefix}directory_age_seconds", "Since the view was last confirmed; -1 = never"): lambda: _or(feed.age),
        (f"{prefix}directory_refused", "Directory entries that could not be read"): lambda: view.refused,
        (f"{prefix}spool_backlog_events", "Events not yet shipped"): lambda: publisher.backlog,
        (f"{prefix}spool_oldest_seconds", "Age of the oldest event not yet shipped"): lambda: publisher.oldest_unshipped_seconds,
        (f"{prefix}spool_bytes", "Disk space of the spool"): lambda: publisher.spool_bytes,
        (f"{prefix}spool_reships", "Times that a stalled watermark made the shipper begin again"): lambda: publisher.reships,
        (f"{prefix}spool_failures", "Envelopes that the bus did not accept"): lambda: publisher.failures,
        (f"{prefix}spool_quarantined", "Damaged records set aside at recovery: must be 0"): lambda: publisher.quarantined,
        (f"{prefix}grant_waits", "Requests that waited for a grant"): lambda: grants.waits,
        (f"{prefix}grant_asks", "Asks for grants"): lambda: grants.asking.asks,
        (f"{prefix}grant_recalls", "Grants returned because another gateway needed them"): lambda: grants.recalls,
        (f"{prefix}grant_failures", "Asks without an answer"): lambda: grants.asking.failures,
        (f"{prefix}rate_waits", "Requests that waited for a lease on a limit per minute"): lambda: rates.waits,
        (f"{prefix}rate_asks", "Asks for such leases"): lambda: rates.asking.asks,
        (f"{prefix}rate_failures", "Asks for such leases without an answer"): lambda: rates.asking.failures,
        (f"{prefix}rate_recalls", "Leases given back because another gateway needed them"): lambda: rates.recalls,
        (f"{prefix}rate_degraded", "Requests let in on an even share, as nobody could be asked"): lambda: rates.degraded,
        (f"{prefix}clock_skew_seconds", "The budget authority's clock minus ours"): lambda: grants.skew_ms / 1000,
        (f"{prefix}upstream_connections", "Open connections to upstreams"): lambda: upstream.stats().open,
    }
    if cache is not None:
        found |= {
            (f"{prefix}cache_hits", "Answers from the response cache"): lambda: cache.hits,
            (f"{prefix}cache_misses", "Look-ups without an answer"): lambda: cache.misses,
            (f"{prefix}cache_errors", "Look-ups and writes that failed"): lambda: cache.errors,
        }
    return found


def _or(age: float | None) -> float:
    return -1.0 if age is None else age
