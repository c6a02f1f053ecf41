"""The commands: `python -m usage serve | migrate | prune | release --boot BOOT`."""

import argparse
import asyncio
import json
import signal
import sys
from datetime import UTC, datetime

from pydantic import ValidationError

from common.logs import configure_logging
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
    """Make the coming partitions, drop the old ones and delete what projects keep no longer, now."""
    from usage.outbound.database import Database
    from usage.use_cases.keep_partitions import Partitions
    from usage.use_cases.prune_projects import prune_projects

    settings = DatabaseSettings()  # type: ignore[call-arg] # the environment fills it
    configure_logging(settings.log_level)

    async def run() -> int:
        database = Database(str(settings.database_url), settings.database_password.get_secret_value())
        await database.open()
        try:
            partitions, today = Partitions(database, settings.retention_days), datetime.now(UTC).date()
            await partitions.prepare(today)
            dropped = await partitions.prune(today)
            deleted = await prune_projects(database, today, settings.retention_days)
        finally:
            await database.close()
        _say({"dropped": [str(day) for day in dropped], "deleted_rows": deleted})
        return 0

    return asyncio.run(run())


def release(boot: str) -> int:
    """Give back the grants of a gateway boot that is dead for ever. What it still reports later is charged all the same."""
    from usage.outbound import boots_store
    from usage.outbound.database import Database

    settings = DatabaseSettings()  # type: ignore[call-arg] # the environment fills it
    configure_logging(settings.log_level)

    async def run() -> int:
        database = Database(str(settings.database_url), settings.database_password.get_secret_value())
        await database.open()
        try:
            async with database.transaction() as connection:
                released = await boots_store.release(connection, boot)
        finally:
            await database.close()
        if released is None:
            sys.stderr.write("usage: that boot is unknown, or closed already\n")
            return 1
        _say({"boot": boot, "released_tokens": released[0], "released_nanousd": released[1]})
        return 0

    return asyncio.run(run())


def main() -> int:
    """Parse the command line; a missing setting is one sentence, not a traceback."""
    parser = argparse.ArgumentParser(prog="python -m usage")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="consume, answer grants, serve reports")
    commands.add_parser("migrate", help="bring the schema up to date")
    commands.add_parser(
        "prune", help="make the coming day partitions, drop those past retention, delete what projects keep no longer"
    )
    releasing = commands.add_parser("release", help="give back the grants of a gateway boot that is dead for ever")
    releasing.add_argument("--boot", required=True)
    chosen = parser.parse_args()
    try:
        if chosen.command == "release":
            return release(chosen.boot)
        return {"serve": serve, "migrate": migrate, "prune": prune}[chosen.command]()
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in error["loc"]).upper()
            sys.stderr.write(f"usage: set USAGE_{name}: {error['msg']}\n")
        return 2


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    sys.exit(main())
