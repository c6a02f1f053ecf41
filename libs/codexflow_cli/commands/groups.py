"""`codexflow groups`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import invocation
from codexflow_cli.options import Json, Organization, Yes, confirm
from codexflow_cli.rendering import say, show_list, show_record

app = typer.Typer(no_args_is_help=True, help="Groups of an identity provider and the roles of their people")

COLUMNS = ("provider", "group", "role")
Group = Annotated[str, typer.Argument(metavar="GROUP")]
Provider = Annotated[str, typer.Option("--provider", help="The identity provider that names the group")]


@app.command("list")
def index(context: typer.Context, organization: Organization = None, as_json: Json = False) -> None:
    """Those of an organization."""
    here = invocation(context)
    show_list(here.client.get(f"/organizations/{here.organization(organization)}/group-roles"), COLUMNS, as_json=as_json)


@app.command("map")
def put(
    context: typer.Context,
    group: Group,
    provider: Provider,
    role: Annotated[str, typer.Option("--role", help="admin, developer, billing or viewer")],
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Its people have the role from their next sign-in on."""
    here = invocation(context)
    body = {"provider": provider, "group": group, "role": role}
    show_record(here.client.put(f"/organizations/{here.organization(organization)}/group-roles", body), as_json=as_json)


@app.command("unmap")
def delete(
    context: typer.Context,
    group: Group,
    provider: Provider,
    organization: Organization = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Its people lose the role at their next sign-in."""
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}/group-roles"
    confirm(f"Take the role from {group}?", yes=yes)
    here.client.delete(path, {"provider": provider, "group": group})
    if not as_json:
        say("Unmapped.")
