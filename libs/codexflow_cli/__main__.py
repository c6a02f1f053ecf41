"""`codexflow`, and `python -m codexflow_cli`."""

import sys


def main() -> int:
    """The exit code."""
    from codexflow_cli.app import app
    from codexflow_cli.errors import CommandFailed

    try:
        app()
    except CommandFailed as failed:
        sys.stderr.write(f"{failed}\n")
        return failed.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
