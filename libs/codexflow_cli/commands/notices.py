"""`codexflow notices`."""

from typing import Annotated

import typer

from codexflow_cli.commands.keys import key_id
from codexflow_cli.invocation import invocation
from codexflow_cli.options import DEFAULT_PAGE, Cursor, Json, Organization, PageSize, Project
from codexflow_cli.rendering import show_list

app = typer.Typer(
    no_args_is_help=True, help="What the members of an organization should know: keys that end, rotations that are due"
)

COLUMNS = ("created_at", "kind", "detail.name", "detail.hint", "detail.due_at", "detail.stops_working_at", "object_id")


@app.command("list")
def index(
    context: typer.Context,
    key: Annotated[
        str | None, typer.Option("--key", metavar="ID|NAME", help="Only those about this key; by name in the project")
    ] = None,
    project: Project = None,
    organization: Organization = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Oldest first."""
    here = invocation(context)
    object_id = key_id(here, key, project, organization) if key else None
    query = {"object_id": object_id, "limit": page_size, "cursor": cursor}
    show_list(here.client.get(f"/organizations/{here.organization(organization)}/notices", query), COLUMNS, as_json=as_json)
