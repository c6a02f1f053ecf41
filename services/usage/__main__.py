"""The commands: `python -m usage serve | migrate | prune | boots | release --boot BOOT`."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from common.logs import configure_logging
from usage.outbound.boots_store import Unspent, open_boots
from usage.outbound.database import Database
from usage.settings import DatabaseSettings, Settings


def serve() -> int:
    """Until SIGTERM or SIGINT."""
    import uvicorn

    from usage.app import build_app

    settings = Settings()  # type: ignore[call-arg] # the environment fills it
    configure_logging(settings.log_level)
    config = uvicorn.Config(
        build_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(settings.drain_seconds) or 1,
    )
    # Uvicorn raises the signal that stopped it once more when it is done; a clean stop is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


def migrate() -> int:
    """Bring the schema up to date."""
    from usage.migrate import migrate as bring_up_to_date

    settings = DatabaseSettings()  # type: ignore[call-arg] # the environment fills it
    configure_logging(settings.log_level)
    bring_up_to_date(str(settings.database_url), settings.database_password.get_secret_value())
    return 0


def prune() -> int:
    """All that the service does by itself every hour and every minute, now; each job with what it has done, null if it failed."""
    from usage.use_cases.keep_house import KeepHouse
    from usage.use_cases.keep_partitions import Partitions

    settings = DatabaseSettings()  # type: ignore[call-arg] # the environment fills it

    async def run(database: Database) -> int:
        done = await KeepHouse(database, Partitions(database, settings.retention_days)).now()
        _say(done)
        return 1 if None in done.values() else 0

    return _with_database(run)


def boots() -> int:
    """List the gateway boots that are not closed, one JSON object a line, the longest unheard first."""
    from usage.outbound.reports_store import moment

    async def run(database: Database) -> int:
        async with database.transaction() as connection:
            found = await open_boots(connection)
        for one in found:
            _say({"boot": one.boot, "gateway": one.gateway, "last_heard": moment(one.heard_at), "unspent": one.unspent})
        return 0

    return _with_database(run)


def release(boot: str, *, force: bool) -> int:
    """Give back the grants of a gateway boot that is dead for ever, and list them by scope and period."""
    from usage.outbound.present_boots import PresentBoots
    from usage.use_cases.release_boot import NotReleased, release_boot

    settings = Settings()  # type: ignore[call-arg] # the environment fills it
    present = PresentBoots(settings.nats_url, settings.nats_password.get_secret_value())

    async def run(database: Database) -> int:
        try:
            released = await release_boot(database, present, boot, force=force)
        except NotReleased as refused:
            sys.stderr.write(f"usage: {refused}\n")
            return 1
        _say([_released(one) for one in released])
        return 0

    return _with_database(run)


def main() -> int:
    """Parse the command line; a missing setting is one sentence, not a traceback."""
    parser = argparse.ArgumentParser(prog="python -m usage")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="consume, answer grants, serve reports")
    commands.add_parser("migrate", help="bring the schema up to date")
    commands.add_parser("prune", help="make the coming day partitions, drop and delete what is kept no longer")
    commands.add_parser("boots", help="list the gateway boots that are not closed")
    releasing = commands.add_parser("release", help="give back the grants of a gateway boot that is dead for ever")
    releasing.add_argument("--boot", required=True, help="one of those that `boots` lists")
    releasing.add_argument(
        "--force", action="store_true", help="also if it was heard of within the last half an hour, or says that it lives"
    )
    chosen = parser.parse_args()
    try:
        if chosen.command == "release":
            return release(chosen.boot, force=chosen.force)
        return {"serve": serve, "migrate": migrate, "prune": prune, "boots": boots}[chosen.command]()
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in error["loc"]).upper()
            sys.stderr.write(f"usage: set USAGE_{name}: {error['msg']}\n")
        return 2


def _with_database(run: Callable[[Database], Awaitable[int]]) -> int:
    settings = DatabaseSettings()  # type: ignore[call-arg] # the environment fills it
    configure_logging(settings.log_level)

    async def opened() -> int:
        database = Database(str(settings.database_url), settings.database_password.get_secret_value())
        await database.open()
        try:
            return await run(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def _released(one: Unspent) -> dict[str, object]:
    return {
        "scope": one.scope,
        "scope_id": one.scope_id,
        "period": one.period,
        "released_tokens": one.tokens,
        "released_nanousd": one.nanousd,
    }


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main())
