"""`python -m devstack up [--detach] | down | status | logs SERVICE [--follow] | reset`: what the Makefile calls."""

import argparse
import sys

from devstack.stack.refusal import Refused


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything and stay until Ctrl-C")
    up.add_argument("--detach", action="store_true", help="return when everything is ready")
    for name, text in (("down", "stop it"), ("status", "what runs, and is it ready"), ("reset", "delete all data")):
        commands.add_parser(name, help=text)
    logs = commands.add_parser("logs", help="the end of a log")
    logs.add_argument("service", nargs="?")
    logs.add_argument("--follow", action="store_true")
    return parser.parse_args()


def main() -> int:
    """The exit code."""
    arguments = _arguments()
    if arguments.command == "up":
        from devstack.stack.supervisor import up

        return up(detach=arguments.detach)
    from devstack.stack import commands

    try:
        if arguments.command == "logs":
            return commands.logs(arguments.service, follow=arguments.follow)
        return {"down": commands.down, "status": commands.status, "reset": commands.reset}[arguments.command]()
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
