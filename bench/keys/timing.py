"""`make timing-keys`: whether the time of a 401 tells an unknown key from a revoked, an expired, a wrong or a malformed one.

Equivalence is what is tested, not "no significant difference": for every pair of kinds two one-sided tests must rule out a
difference of the bound in either direction. The number of questions is fixed beforehand.
"""

import argparse
import contextlib
import datetime as dt
import itertools
import os
import random
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.keys.figures import Equivalence, equivalence
from bench.keys.filling import Kind, fill
from bench.keys.installation import Installation, running, wait
from bench.keys.probe import question
from bench.keys.report import bound_run, say, show, write
from bench.peers.system import Unfit
from bench.processes import Cores, pick_cores, pin
from common.base62 import ALPHABET
from common.contracts.api_keys import Peppers, lookup_of, make_key, make_lookup

LONGEST_RUN_SECONDS = 1200
OTHER_KEYS = 1_000
WARM_UP = 0.05
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Door:
    """One kept connection, blocking: nothing of an event loop's is measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, asked: bytes) -> tuple[int, bytes]:
        """Nanoseconds until the first bytes of the answer, and the whole of it."""
        began = time.perf_counter_ns()
        self._socket.sendall(asked)
        answer = self._socket.recv(65_536)
        took = time.perf_counter_ns() - began
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._socket.recv(65_536)
        return took, head[9:12] + body


def malformed(key: str) -> str:
    """The right shape and length, one character of the checksum wrong."""
    return key[:-1] + ALPHABET[(ALPHABET.index(key[-1]) + 1) % len(ALPHABET)]


def prepare(installation: Installation, pool: int) -> dict[str, list[bytes]]:
    """As many keys of each kind, all of which must be refused alike."""
    kinds = [Kind(OTHER_KEYS, 0), Kind(pool, pool), Kind(pool, pool, "revoked"), Kind(pool, pool, expires_at=LONG_AGO)]
    with installation.database() as database:
        _, live, revoked, expired = fill(database, Peppers.parse(installation.peppers), kinds)
    installation.republish()
    installation.gateways[0].wait_for(live[-1].plaintext)
    texts = {
        "unknown": [make_key(make_lookup()) for _ in range(pool)],
        "revoked": [key.plaintext for key in revoked],
        "expired": [key.plaintext for key in expired],
        "wrong secret": [make_key(lookup_of(key.plaintext) or "") for key in live],
        "malformed": [malformed(make_key(make_lookup())) for _ in range(pool)],
    }
    return {kind: [question(text) for text in found] for kind, found in texts.items()}


def measure(port: int, asked: dict[str, list[bytes]], questions: int, seed: int) -> dict[str, list[float]]:
    """Microseconds by kind: blocks of one question of each kind, in random order within the block."""
    source, door, kinds = random.Random(seed), Door(port), list(asked)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    refusals: set[bytes] = set()
    warm_up = int(questions * WARM_UP)
    for block in range(-warm_up, questions):
        source.shuffle(kinds)
        for kind in kinds:
            took, answer = door.ask(source.choice(asked[kind]))
            refusals.add(answer)
            if block >= 0:
                times[kind].append(took / 1000)
        if block % 5_000 == 4_999:
            say(f"{block + 1}/{questions} questions of each kind")
    if len(refusals) != 1 or not next(iter(refusals)).startswith(b"401"):
        raise Unfit(f"the refusals are not all the same: {sorted(refusals)[:3]}")
    return times


def results(times: dict[str, list[float]], bound: float) -> dict[str, Any]:
    """What `timing.json` holds."""
    pairs = {f"{one} − {other}": equivalence(times[one], times[other], bound) for one, other in itertools.combinations(times, 2)}
    return {
        "questions_of_each_kind": len(next(iter(times.values()))),
        "bound_us": bound,
        "times_us": {kind: _middle(values) for kind, values in times.items()},
        "differences_us": {name: _shown(pair) for name, pair in pairs.items()},
        "equivalent": all(pair.holds for pair in pairs.values()),
    }


def _middle(values: list[float]) -> dict[str, float]:
    return {"mean": round(statistics.fmean(values), 2), "median": round(statistics.median(values), 2)}


def _shown(pair: Equivalence) -> dict[str, Any]:
    return {
        "mean": round(pair.mean, 3),
        "interval_90": [round(pair.low, 3), round(pair.high, 3)],
        "equivalent": pair.holds,
    }


def print_results(found: dict[str, Any]) -> None:
    """The table."""
    show(f"Time of a 401, µs ({found['questions_of_each_kind']:,} of each kind)", found["times_us"])
    title = f"Mean of the middle half of the differences, µs: 90 % interval must lie within ±{found['bound_us']:g}"
    rows = {
        name: f"{it['mean']:+.3f}  [{it['interval_90'][0]:+.3f}, {it['interval_90'][1]:+.3f}]  "
        f"{'equivalent' if it['equivalent'] else 'NOT SHOWN TO BE EQUIVALENT'}"
        for name, it in found["differences_us"].items()
    }
    show(title, rows)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys.timing", description=__doc__)
    parser.add_argument("--questions", type=int, default=20_000, help="of each kind (default 20000)")
    parser.add_argument("--bound", type=float, default=5.0, help="microseconds that must be ruled out (default 5)")
    parser.add_argument("--pool", type=int, default=500, help="different keys of each kind (default 500)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if not 100 <= options.questions <= 500_000 or options.bound <= 0 or not 1 <= options.pool <= 10_000:
        parser.error("--questions 100..500000, --bound above 0, --pool 1..10000")
    return options


def part(installation: Installation, cores: Cores) -> None:
    """The gateway has a core to itself, we have the other with all that is idle."""
    os.sched_setaffinity(0, {cores.rest})
    pin([installation.gateways[0].pid], cores.system)


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when all kinds are equivalent, 1 when that could not be shown."""
    options = parse(arguments)
    bound_run(LONGEST_RUN_SECONDS)
    with contextlib.ExitStack() as cleanup:
        installation = cleanup.enter_context(running("timing", gateways=1))
        asked = prepare(installation, options.pool)
        part(installation, pick_cores())
        wait(lambda: installation.gateways[0].view_bytes > 0, "the first save")  # so that none falls into the measurement
        times = measure(installation.gateways[0].port, asked, options.questions, options.seed)
    found = results(times, options.bound)
    print_results(found)
    write("timing", found)
    return 0 if found["equivalent"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
