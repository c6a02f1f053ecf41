"""`python -m gateway serve`: one gateway process."""

import sys

from pydantic import ValidationError

from common.logs import configure_logging
from gateway.settings import Settings

USAGE = "usage: python -m gateway serve\n"


def main(arguments: list[str]) -> int:
    """Exit code 0 after a clean stop, 2 for a wrong call or setting."""
    if arguments != ["serve"]:
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = Settings()  # type: ignore[call-arg] # from the environment
    except ValidationError as problem:
        for error in problem.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in error["loc"]).upper()
            sys.stderr.write(f"GATEWAY_{name}: {error['msg']}\n")
        return 2
    configure_logging(settings.log_level)
    import uvloop

    from gateway.app import serve
    from gateway.outbound.routes_file import RoutesError

    try:
        return uvloop.run(serve(settings))
    except RoutesError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2


sys.exit(main(sys.argv[1:]))
