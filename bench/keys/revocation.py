"""`make measure-revocation`: from accounts' answer to the last gateway's first 401, with NATS killed in between, and from cold."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from bench.build import BUILD
from bench.keys.cold_start import ColdStarts, measure_cold_starts
from bench.keys.figures import summary
from bench.keys.filling import Kind, fill
from bench.keys.installation import Installation, running
from bench.keys.load import Load, loaded
from bench.keys.report import bound_run, say, show, write
from bench.keys.revoking import KILL_BATCH, Kills, Revocations, measure_kills, measure_revocations
from bench.keys.run import Run
from bench.processes import pick_cores
from bench.run import start_upstream
from common.contracts.api_keys import Peppers

LONGEST_RUN_SECONDS = 1500
COLD_KEYS = 2


def prepare(installation: Installation, options: argparse.Namespace) -> Run:
    """Fill the tables, have accounts publish them, and wait until every gateway knows the last key."""
    wanted = options.revocations + options.kills * KILL_BATCH + COLD_KEYS
    say(f"filling {options.keys} keys")
    with installation.database() as database:
        ((good, *keys),) = fill(database, Peppers.parse(installation.peppers), [Kind(options.keys, known=wanted + 1)])
    say(f"published in {installation.republish():.1f} s")
    for gateway in installation.gateways:
        gateway.wait_for(keys[-1].plaintext)
    return Run(installation, iter(keys), good)


async def measure(run: Run, options: argparse.Namespace, upstream_port: int) -> tuple[Revocations, Kills, ColdStarts, Load]:
    """All three, the first two under load."""
    with loaded(run.installation.gateways, run.good.plaintext, options.rate, BUILD / "load", upstream_port) as load:
        revocations = await measure_revocations(run, options.revocations)
        kills = await measure_kills(run, options.kills)
    if not load.accepted:
        load.faults.append("not one request of the load was answered")
    cold = await measure_cold_starts(run, options.keys)
    await run.check_for_ever()
    return revocations, kills, cold, load


def results(
    options: argparse.Namespace, run: Run, revocations: Revocations, kills: Kills, cold: ColdStarts, load: Load
) -> dict[str, Any]:
    """What `revocation.json` holds."""
    return {
        "keys": options.keys,
        "gateways": options.gateways,
        "requests_per_second_and_gateway": options.rate,
        "after_answer_ms": summary(revocations.after_answer),
        "after_request_ms": summary(revocations.after_request),
        "answers_that_said_pending": revocations.pending,
        "nats_killed": {
            "until_closed_after_its_return_ms": summary(kills.until_closed),
            "revoked": kills.revoked,
            "still_open_somewhere_while_down": kills.open_while_down,
        },
        "cold_start_s": {
            "without_accounts": round(cold.without_accounts, 2),
            "without_accounts_and_nats": round(cold.without_accounts_and_nats, 2),
        },
        "load": {"accepted": load.accepted, "faults": load.faults},
        "wrong": run.wrong,
    }


def print_results(found: dict[str, Any]) -> None:
    """The table."""
    kills, cold = found["nats_killed"], found["cold_start_s"]
    show(
        f"Revocation: {found['gateways']} gateways, {found['keys']:,} keys, "
        f"{found['requests_per_second_and_gateway']:g} requests/s on each",
        {
            "API's answer → last gateway's first 401, ms": found["after_answer_ms"],
            "request to the API → last gateway's first 401, ms": found["after_request_ms"],
            "answers that said pending": found["answers_that_said_pending"],
            "NATS back after kill -9 → last 401 of all, ms": kills["until_closed_after_its_return_ms"],
            "revoked around the kills / still open somewhere meanwhile": f"{kills['revoked']} / {kills['still_open_somewhere_while_down']}",
            "cold start without accounts → first request let in, s": cold["without_accounts"],
            "cold start without accounts and NATS, s": cold["without_accounts_and_nats"],
            "good answers under load": found["load"]["accepted"],
            "wrong": found["wrong"] + found["load"]["faults"] or "nothing",
        },
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys.revocation", description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000, help="in the directory (default 100000)")
    parser.add_argument("--revocations", type=int, default=200, help="measured one by one (default 200)")
    parser.add_argument("--kills", type=int, default=5, help=f"of NATS, {KILL_BATCH} revocations around each (default 5)")
    parser.add_argument("--gateways", type=int, default=4, help="processes (default 4)")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second to each of them (default 50)")
    options = parser.parse_args(arguments)
    least = options.revocations + options.kills * KILL_BATCH + COLD_KEYS + 1
    if options.keys < least or options.revocations < 1 or options.kills < 1 or not 1 <= options.gateways <= 16:
        parser.error(f"at least {least} keys for these revocations, one revocation, one kill, 1..16 gateways")
    return options


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when nothing that was revoked was let in again, and nothing else was refused."""
    options = parse(arguments)
    bound_run(LONGEST_RUN_SECONDS)
    with contextlib.ExitStack() as cleanup:
        port = start_upstream(pick_cores().rest, BUILD, cleanup)
        upstream = f"http://127.0.0.1:{port}/v1"
        installation = cleanup.enter_context(running("revocation", gateways=options.gateways, upstream_url=upstream))
        run = prepare(installation, options)
        measured = asyncio.run(measure(run, options, port))
    found = results(options, run, *measured)
    print_results(found)
    write("revocation", found)
    return 1 if run.wrong or found["load"]["faults"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
