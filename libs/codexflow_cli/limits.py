"""Limits on the command line: `monthly-cost=25 daily-tokens=none`; money in USD."""

from typing import Annotated, Literal

import typer

from codexflow_cli.errors import WrongUse
from codexflow_cli.money import LARGEST, to_nanousd

FIELDS = {
    "monthly-tokens": "monthly_tokens",
    "monthly-cost": "monthly_cost_nanousd",
    "daily-tokens": "daily_tokens",
    "daily-cost": "daily_cost_nanousd",
    "requests-per-minute": "requests_per_minute",
    "tokens-per-minute": "tokens_per_minute",
    "concurrency": "concurrency",
}
"""What is typed, and the API's name for it."""
HELP = f"NAME=VALUE, as often as needed; money in USD, `none` takes a limit away. Names: {', '.join(FIELDS)}"


def complete_limit(incomplete: str) -> list[str]:
    """For the shell."""
    return [f"{name}=" for name in FIELDS if name.startswith(incomplete)]


LimitOption = Annotated[list[str] | None, typer.Option("--limit", metavar="NAME=VALUE", help=HELP, autocompletion=complete_limit)]
EnforcementOption = Annotated[
    Literal["hard", "soft", "shadow"] | None,
    typer.Option("--enforcement", help="What a reached limit does: refuse, alert only, or only say what it would have refused"),
]
AlertOption = Annotated[
    list[int] | None, typer.Option("--alert-at", metavar="PERCENT", help="Say so at this share of a limit; may be repeated")
]


def parse_limits(texts: list[str] | None) -> dict[str, int | None] | None:
    """The API's limits; None when none are given. Raises WrongUse."""
    if not texts:
        return None
    return dict(_parse(text) for text in texts)


def _parse(text: str) -> tuple[str, int | None]:
    name, equals, value = text.partition("=")
    field = FIELDS.get(name)
    if field is None or not equals:
        raise WrongUse(f"{text}: write NAME=VALUE with one of {', '.join(FIELDS)}.")
    if value == "none":
        return field, None
    try:
        return field, to_nanousd(value) if field.endswith("_nanousd") else _count(value)
    except ValueError as problem:
        raise WrongUse(f"{text}: {problem}, or none.") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST))) or int(text) > LARGEST:
        raise ValueError("give a whole number")
    return int(text)
