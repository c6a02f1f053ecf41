"""`python -m devstack.provider`: serve until SIGTERM or SIGINT."""

import argparse
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from devstack.provider.app import create_app
from devstack.provider.exchange import ProviderProtocol

_DRAIN_SECONDS = 3


class ProviderServer(uvicorn.Server):
    """Says when it listens, and where: with port 0 only it knows."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"ready: simulated provider on http://{host}:{port}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack.provider", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one")
    parser.add_argument("--pace-ms", type=float, default=2.0, help="time per token")
    parser.add_argument("--api-key", action="append", default=[], help="accept only these bearer keys (repeatable)")
    parser.add_argument("--alias", action="append", default=[], help="another model name to serve (repeatable)")
    parser.add_argument("--ledger", type=Path, help="append each call's begin and end to this file")
    return parser.parse_args()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    # uvicorn raises the signal again after its orderly end; it also covers the moment before uvicorn listens.
    raise SystemExit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    arguments = _arguments()
    app = create_app(
        pace_ms=arguments.pace_ms,
        api_keys=tuple(arguments.api_key),
        aliases=tuple(arguments.alias),
        ledger_file=arguments.ledger,
    )
    config = uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        loop="uvloop",
        http=ProviderProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        timeout_keep_alive=75,
    )
    try:
        ProviderServer(config).run()
    finally:
        app.ledger.close()


if __name__ == "__main__":
    main()
