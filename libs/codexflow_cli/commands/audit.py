"""`codexflow audit`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import typer

from codexflow_cli.errors import WrongUse
from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.options import DEFAULT_PAGE, Cursor, Json, Organization, PageSize, given
from codexflow_cli.rendering import say, show_list

app = typer.Typer(no_args_is_help=True, help="Who did what, when and from where")

COLUMNS = ("at", "action", "actor.name", "object_id", "origin.address")
CHANGES = ("before", "after")
PRIVATE = 0o600

Installation = Annotated[
    bool,
    typer.Option("--installation", help="What belongs to no organization: users, sign-ins, their tokens (operators)"),
]
Actions = Annotated[
    list[str] | None, typer.Option("--action", metavar="NAME", help="Only this, like key.revoked; may be repeated")
]
Actor = Annotated[str | None, typer.Option("--actor", metavar="ID", help="Only what this user or service account did")]
Object = Annotated[str | None, typer.Option("--object", metavar="ID", help="Only what was done to this")]
Since = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Only then or later, like 2027-01-31T00:00:00Z")]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only before that")]


@app.command("list")
def index(
    context: typer.Context,
    organization: Organization = None,
    installation: Installation = False,
    actions: Actions = None,
    actor: Actor = None,
    object_id: Object = None,
    since: Since = None,
    until: Until = None,
    with_changes: Annotated[bool, typer.Option("--changes", help="Also what was before and after")] = False,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Newest first; all conditions must hold."""
    here = invocation(context)
    query = {**_only(actions, actor, object_id, since, until), "limit": page_size, "cursor": cursor}
    columns = (*COLUMNS, *CHANGES) if with_changes else COLUMNS
    show_list(here.client.get(_path(here, organization, installation=installation), query), columns, as_json=as_json)


@app.command()
def export(
    context: typer.Context,
    organization: Organization = None,
    installation: Installation = False,
    file_format: Annotated[
        Literal["ndjson", "csv"], typer.Option("--format", help="One JSON object a line, or a table")
    ] = "ndjson",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Into a file, mode 0600, that is there only when it is whole")
    ] = None,
    actions: Actions = None,
    actor: Actor = None,
    object_id: Object = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """All of them, on standard output."""
    here = invocation(context)
    query = {**_only(actions, actor, object_id, since, until), "format": file_format}
    path = f"{_path(here, organization, installation=installation)}/export"
    with here.client.download(path, query) as pieces, _sink(output) as file:
        for piece in pieces:
            file.write(piece)
    if output:
        say(f"Written to {output}.")


def _path(here: Invocation, organization: str | None, *, installation: bool) -> str:
    if installation:
        if organization:
            raise WrongUse("Either an organization, or --installation.")
        return "/audit"
    return f"/organizations/{here.organization(organization)}/audit"


def _only(
    actions: list[str] | None, actor: str | None, object_id: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    return given(action=actions, actor_id=actor, object_id=object_id, **{"from": since, "to": until})


@contextmanager
def _sink(output: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name only once all has arrived."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            part.chmod(PRIVATE)
            yield file
        part.replace(output)
    except OSError as problem:
        raise WrongUse(f"{output}: {problem.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
