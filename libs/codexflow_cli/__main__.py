"""`codexflow`, and `python -m codexflow_cli`."""

import sys


def main() -> int:
    """The exit code."""
    return 0


if __name__ == "__main__":
    sys.exit(main())
