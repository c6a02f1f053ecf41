"""`make measure-directory`: what so many keys cost a gateway worker in memory, and how long publishing and loading them takes."""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.keys.filling import FilledKey, Kind, fill
from bench.keys.installation import Gateway, Installation, running, wait
from bench.keys.report import bound_run, say, show, write
from bench.processes import pss_mb
from common.contracts.api_keys import Peppers

LONGEST_RUN_SECONDS = 2400
SETTLE_SECONDS = 3.0
LEAST_RECORD_BYTES = 200


def memory(gateway: Gateway) -> dict[str, float]:
    """PSS and RSS in MB (10^6 bytes), once it has come to rest."""
    time.sleep(SETTLE_SECONDS)
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(gateway.pid)], capture_output=True, text=True, check=True)
    return {"pss_mb": round(pss_mb([gateway.pid]), 1), "rss_mb": round(int(done.stdout) * 1024 / 1e6, 1)}


def start(gateway: Gateway, key: FilledKey) -> float:
    """Seconds from the start of its process until it lets the key in."""
    began = time.monotonic()
    gateway.process.start()
    gateway.wait_for(key.plaintext)
    return round(time.monotonic() - began, 2)


def fill_tables(installation: Installation, keys: int) -> tuple[float, FilledKey]:
    """Seconds, and the last key."""
    began = time.monotonic()
    with installation.database() as database:
        others, (last,) = fill(database, Peppers.parse(installation.peppers), [Kind(keys - 1, known=0), Kind(1, known=1)])
    assert not others
    return round(time.monotonic() - began, 1), last


def from_the_bucket(installation: Installation, last: FilledKey) -> tuple[float, Gateway]:
    """A gateway that has never run before."""
    gateway = installation.add_gateway("gateway-anew")
    return start(gateway, last), gateway


def from_the_file(installation: Installation, gateway: Gateway, last: FilledKey) -> float:
    """The same gateway again, while there is no bus."""
    gateway.process.stop(timeout=60)
    installation.nats.kill()
    return start(gateway, last)


def measure(installation: Installation, keys: int) -> dict[str, Any]:
    """Everything, in order."""
    followed = installation.gateways[0]
    empty = memory(followed)
    installation.widen_bus()
    say(f"filling {keys:,} keys")
    filled, last = fill_tables(installation, keys)
    say(f"filled in {filled} s; publishing")
    published = installation.republish()
    followed.wait_for(last.plaintext)
    again = installation.republish()
    say(f"published in {published:.1f} s; loading")
    memory_followed = memory(followed)
    bucket, gateway = from_the_bucket(installation, last)
    memory_bucket = memory(gateway)
    wait(lambda: gateway.view_bytes > keys * LEAST_RECORD_BYTES, "the last-known-good file")
    file_bytes = gateway.view_bytes
    file = from_the_file(installation, gateway, last)
    memory_file = memory(gateway)
    return {
        "keys": keys,
        "republish_s": {"all_lacking": round(published, 1), "nothing_lacking": round(again, 1)},
        "load_s": {"from_bucket": bucket, "from_file": file},
        "file_mb": round(file_bytes / 1e6, 1),
        "memory": {"empty": empty, "followed": memory_followed, "from_bucket": memory_bucket, "from_file": memory_file},
        "pss_bytes_per_key": {
            name: round((value["pss_mb"] - empty["pss_mb"]) * 1e6 / keys)
            for name, value in (("followed", memory_followed), ("from_bucket", memory_bucket), ("from_file", memory_file))
        },
    }


def print_results(found: dict[str, Any]) -> None:
    """The table."""
    show(
        f"Directory: {found['keys']:,} keys",
        {
            "republish into a bucket that lacks all / nothing, s": found["republish_s"],
            "process start → last key let in, s": found["load_s"],
            "last-known-good file, MB": found["file_mb"],
            **{f"memory of a gateway worker, {name.replace('_', ' ')}": value for name, value in found["memory"].items()},
            "PSS per key, bytes": found["pss_bytes_per_key"],
        },
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys.directory", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="in the directory (default 1000000)")
    options = parser.parse_args(arguments)
    if not 2 <= options.keys <= 5_000_000:
        parser.error("--keys 2..5000000")
    return options


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when it was measured."""
    options = parse(arguments)
    bound_run(LONGEST_RUN_SECONDS)
    with contextlib.ExitStack() as cleanup:
        found = measure(cleanup.enter_context(running("directory", gateways=1)), options.keys)
    print_results(found)
    write("directory", found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
