"""Waiting until nothing is under way any more: no request, no event that is not booked, no dead boot that is not closed."""

import re
import time
import urllib.request

import psycopg

from devstack.servers.ports import LOOPBACK
from devstack.stack import http
from tests.faults.books import read_boots
from tests.faults.rig import Rig
from tests.faults.spools import read_spools

CALM_LOOKS = 3

_METRIC = re.compile(r"^codexflow_gateway_(in_flight|spool_backlog_events) (\S+)$", re.MULTILINE)


def wait_until_quiet(rig: Rig, *, seconds: float) -> float:
    """Seconds it took. Fails with what still moves when the time is over.

    It has to be quiet at several looks in a row: a busy gateway may have connections to accept whose clients have left long ago.
    """
    begun, calm = time.monotonic(), 0
    while calm < CALM_LOOKS:
        unrest = find_unrest(rig)
        calm = 0 if unrest else calm + 1
        assert time.monotonic() - begun < seconds, f"not quiet after {seconds:.0f} s: {'; '.join(unrest)}"
        time.sleep(0.2)
    return time.monotonic() - begun


def find_unrest(rig: Rig) -> list[str]:
    """Everything that still moves; empty when it is quiet."""
    unrest = [f"{name} is not ready" for name in ("usage", *rig.gateways) if not http.is_ready(rig.port_of(name))]
    if unrest:
        return unrest
    for name, port in rig.gateways.items():
        unrest += [f"{name}: {metric} = {value}" for metric, value in read_metrics(port).items() if value]
    running = sum(row["outcome"] == "running" for row in rig.ask_provider("/_sim/requests")["data"])
    if running:
        unrest.append(f"{running} calls run at the provider")
    try:
        return unrest + _unbooked(rig)
    except psycopg.OperationalError as problem:
        return [*unrest, f"the database: {problem}"]


def _unbooked(rig: Rig) -> list[str]:
    boots, spools = read_boots(rig.database()), read_spools(rig.spool)
    unrest = []
    for boot, spooled in spools.items():
        booked = boots.get(boot)
        if spooled.open:
            unrest.append(f"boot {boot}: {len(spooled.open)} starts are open")
        if spooled.last and (booked is None or booked["contiguous"] < spooled.last):
            unrest.append(f"boot {boot}: booked up to {booked and booked['contiguous']} of {spooled.last}")
    unrest += [f"boot {boot} is over and not closed" for boot, row in boots.items() if boot not in spools and not row["closed"]]
    if len(spools) > len(rig.gateways):
        unrest.append(f"{len(spools)} boots in the spool for {len(rig.gateways)} gateways")
    return unrest


def read_metrics(port: int) -> dict[str, float]:
    """What a gateway has in flight and in its spool."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=60) as answer:
        return {name: float(value) for name, value in _METRIC.findall(answer.read().decode())}
