"""What many commands take, worded once."""

import sys
from typing import Annotated

import typer

from codexflow_cli.errors import Declined, WrongUse

DEFAULT_PAGE = 50
NONE = "none"
NULLABLE = frozenset(
    {
        "default_role",
        "deep_from_characters",
        "deep_models",
        "default_tier",
        "expires_at",
        "fast_models",
        "models",
        "networks",
        "plan_id",
        "retention_days",
        "rotate_days",
        "scopes",
    }
)
"""Fields whose option takes `none`: no restriction, no end, the default."""

Organization = Annotated[
    str | None, typer.Option("--organization", "-o", metavar="ID|SLUG", help="The organization; default: the configured one")
]
Project = Annotated[
    str | None, typer.Option("--project", "-p", metavar="ID|SLUG", help="The project; default: the configured one")
]
Json = Annotated[bool, typer.Option("--json", help="The API's document, verbatim, and nothing else on stdout")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking")]
PageSize = Annotated[int, typer.Option("--page-size", min=1, max=200, help="How many at most")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="The next page, as the one before has said")]
IfVersion = Annotated[
    int | None, typer.Option("--if-version", min=0, help="Only if this is still its version; else nothing is changed")
]
NewName = Annotated[str | None, typer.Option("--name", help="A new name")]
Slug = Annotated[str | None, typer.Option("--slug", help="The short name for URLs and this command line")]

Expiry = Annotated[
    str | None, typer.Option("--expires-at", metavar="TIME|none", help="When it ends, like 2027-01-31T12:00:00Z; none: never")
]

TokenScopes = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="PERMISSION", help="Only this of what you may, like keys.read; may be repeated"),
]

TokenExpiry = Annotated[
    str | None,
    typer.Option("--expires-at", metavar="TIME", help="When it ends; a token always does: without it by the service's rule"),
]


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone or cuts somebody off. Raises Declined, or WrongUse with nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise WrongUse(f"{question} There is nobody to ask here: say --yes.")
    if not typer.confirm(question, err=True):
        raise Declined("Nothing was changed.")


def given(**values: object) -> dict[str, object]:
    """The fields that somebody has given; `none` becomes null where the API knows null."""
    wanted = {name: value for name, value in values.items() if value is not None and value not in ([], {})}
    return {name: None if name in NULLABLE and value in (NONE, [NONE]) else value for name, value in wanted.items()}


def changes(**values: object) -> dict[str, object]:
    """The same for an update. Raises WrongUse when nothing is to be changed."""
    found = given(**values)
    if not found:
        raise WrongUse("Nothing to change: give at least one option.")
    return found


def pairs(texts: list[str] | None) -> dict[str, str] | None:
    """`name=value` of each; None when there are none."""
    if not texts:
        return None
    if wrong := [text for text in texts if "=" not in text]:
        raise WrongUse(f"{wrong[0]}: write it as name=value.")
    return dict(text.split("=", 1) for text in texts)


def number(text: str | None) -> int | str | None:
    """A whole number where `none` is possible too."""
    if text is None or text == NONE:
        return text
    if not (text.isascii() and text.isdigit()):
        raise WrongUse(f"{text}: give a whole number, or none.")
    return int(text)
