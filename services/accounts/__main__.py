"""The command line: `python -m accounts serve | migrate | seed … | republish | reconcile`."""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import asdict
from decimal import Decimal, InvalidOperation

import uvicorn
from pydantic import SecretStr

from accounts.settings import DatabaseSettings, MigrationSettings, Settings, WrongSettings
from common.logs import configure_logging
from common.problems import Problem

NANO = 1_000_000_000
LARGEST = 2**63 - 1
REPUBLISH_SECONDS = 120.0
CONNECT_SECONDS = 10.0
DRIFT_REMAINS = 3


def serve() -> int:
    """Answer until SIGTERM or SIGINT, then drain and end with 0."""
    from accounts.app import build_app

    settings = Settings.load()
    configure_logging(settings.log_level)
    config = uvicorn.Config(
        build_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe about addresses is said by ACCOUNTS_TRUSTED_PROXIES alone
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    # uvicorn raises the signal again after a clean shutdown; what it finds then must not end the process with an error.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


def migrate() -> int:
    """Bring the schema to the newest revision, and grant the service's role what it needs."""
    from accounts.outbound.database import database_url
    from accounts.outbound.schema import NoSchema, upgrade

    settings = MigrationSettings.load()
    configure_logging(settings.log_level)
    service = owner = database_url(settings.database_url, _revealed(settings.database_password))
    if settings.owner_database_url:
        owner = database_url(settings.owner_database_url, _revealed(settings.owner_database_password))
    try:
        upgrade(owner, service.username or "")
    except NoSchema as problem:
        raise WrongSettings(str(problem)) from None
    return 0


async def seed(arguments: argparse.Namespace) -> int:
    """Find or make the demo and say what is there as one line of JSON."""
    from accounts.app import open_context
    from accounts.use_cases.seed_demo import Demo, seed_demo

    settings = Settings.load()
    configure_logging(settings.log_level)
    demo = Demo(
        email=arguments.email,
        password=arguments.password,
        organization=arguments.organization,
        project=arguments.project,
        limits={"monthly_tokens": arguments.monthly_tokens, "monthly_cost_nanousd": arguments.monthly_cost_usd},
    )
    try:
        async with open_context(settings) as (context, _):
            seeded = await seed_demo(context, demo)
    except Problem as problem:
        sys.stderr.write(f"{problem.detail}\n")
        return 2
    sys.stdout.write(json.dumps(asdict(seeded)) + "\n")
    return 0


async def republish() -> int:
    """Ask the running relay to publish the whole directory again, and wait for it."""
    from accounts.outbound.database import database_url, open_engine
    from accounts.use_cases.republish_directory import republish_directory

    settings = DatabaseSettings.load()
    configure_logging(settings.log_level)
    engine = open_engine(database_url(settings.database_url, settings.database_password.get_secret_value()))
    try:
        generation = await republish_directory(engine, REPUBLISH_SECONDS)
    finally:
        await engine.dispose()
    if generation is None:
        sys.stderr.write("asked for, but no accounts service has done it yet: is one running, and NATS?\n")
        return 1
    sys.stdout.write(json.dumps({"generation": generation}) + "\n")
    return 0


async def reconcile(arguments: argparse.Namespace) -> int:
    """Compare the directory with the database, repair it and say what was found.

    0: the bucket is what the database says, or has been repaired; 1: they could not be compared; 3: something still differs, after
    a dry run, or because it is more than one round repairs, or no record of ours.
    """
    from accounts.app import open_context
    from accounts.outbound.bus import BusAway
    from accounts.use_cases.reconcile_directory import reconcile_directory

    settings = Settings.load()
    configure_logging(settings.log_level)
    async with open_context(settings) as (context, bus):
        connecting = asyncio.create_task(bus.run())
        try:
            await bus.wait_connected(CONNECT_SECONDS)
            found = await reconcile_directory(context.engine, context.bucket, repair=not arguments.dry_run)
        except BusAway as away:
            sys.stderr.write(f"the bus is away: {away}\n")
            return 1
        finally:
            connecting.cancel()
    if found is None:
        sys.stderr.write("the bucket has not been filled yet: is an accounts service running?\n")
        return 1
    sys.stdout.write(f"{found.as_json()}\n" if arguments.json else f"{found}\n")
    return DRIFT_REMAINS if found.remains else 0


def _revealed(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _tokens(text: str) -> int:
    if not text.isdigit() or int(text) > LARGEST:
        raise argparse.ArgumentTypeError("give a whole number of tokens")
    return int(text)


def _nanousd(text: str) -> int:
    try:
        amount = Decimal(text) * NANO
    except InvalidOperation:
        raise argparse.ArgumentTypeError("give an amount in USD, like 25 or 0.50") from None
    if not amount.is_finite() or amount != int(amount) or not 0 <= amount <= LARGEST:
        raise argparse.ArgumentTypeError("give an amount in USD of at most nine decimals, like 25 or 0.50")
    return int(amount)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m accounts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer the management API and relay the directory")
    commands.add_parser("migrate", help="bring the schema to the newest revision")
    commands.add_parser("republish", help="publish the whole key directory again; safe at any time")
    comparing = commands.add_parser(
        "reconcile", help="compare the key directory with the database and repair it; safe at any time"
    )
    comparing.add_argument("--dry-run", action="store_true", help="only report: 0 when nothing differs, 3 when something does")
    comparing.add_argument("--json", action="store_true", help="one line of JSON")
    demo = commands.add_parser("seed", help="make the first user, organization, project and key; prints one line of JSON")
    for name in ("email", "password", "organization", "project"):
        demo.add_argument(f"--{name}", required=True)
    demo.add_argument("--monthly-tokens", type=_tokens)
    demo.add_argument("--monthly-cost-usd", type=_nanousd)
    return parser.parse_args()


def main() -> int:
    """The exit code; 2 for a wrong setting, with one sentence."""
    arguments = _arguments()
    try:
        match arguments.command:
            case "serve":
                return serve()
            case "migrate":
                return migrate()
            case "seed":
                return asyncio.run(seed(arguments))
            case "reconcile":
                return asyncio.run(reconcile(arguments))
            case _:
                return asyncio.run(republish())
    except WrongSettings as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
