"""`codexflow members`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.options import DEFAULT_PAGE, Cursor, IfVersion, Json, Organization, PageSize, Yes, confirm
from codexflow_cli.rendering import show_list, show_record
from common.contracts.roles import Role

app = typer.Typer(no_args_is_help=True, help="People in an organization, and their roles")

COLUMNS = ("user_id", "email", "name", "role", "status", "user_status")
Who = Annotated[str, typer.Argument(metavar="ID|EMAIL")]


@app.command("list")
def index(
    context: typer.Context,
    organization: Organization = None,
    role: Annotated[Role | None, typer.Option("--role", help="Only those with this role")] = None,
    status: Annotated[str | None, typer.Option("--status", help="active, suspended or ended; default: all but ended")] = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Who belongs to it."""
    here = invocation(context)
    query = {"role": role, "status": status, "limit": page_size, "cursor": cursor}
    show_list(here.client.get(f"/organizations/{here.organization(organization)}/members", query), COLUMNS, as_json=as_json)


@app.command()
def show(context: typer.Context, who: Who, organization: Organization = None, as_json: Json = False) -> None:
    """One of them, with limits."""
    here = invocation(context)
    show_record(here.client.get(member_path(here, who, organization)), as_json=as_json)


@app.command("set-role")
def set_role(
    context: typer.Context,
    who: Who,
    role: Role,
    organization: Organization = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Give another role."""
    here = invocation(context)
    show_record(here.client.change(member_path(here, who, organization), {"role": role}, if_version=if_version), as_json=as_json)


@app.command()
def suspend(context: typer.Context, who: Who, organization: Organization = None, yes: Yes = False, as_json: Json = False) -> None:
    """Close the person's keys here until resumed."""
    here = invocation(context)
    path = member_path(here, who, organization)
    confirm(f"Close all keys of {who} in this organization?", yes=yes)
    show_record(here.client.change(path, {"status": "suspended"}), as_json=as_json)


@app.command()
def resume(context: typer.Context, who: Who, organization: Organization = None, as_json: Json = False) -> None:
    """Open them again."""
    here = invocation(context)
    show_record(here.client.change(member_path(here, who, organization), {"status": "active"}), as_json=as_json)


@app.command()
def remove(context: typer.Context, who: Who, organization: Organization = None, yes: Yes = False, as_json: Json = False) -> None:
    """End the membership; the person's keys here are revoked for ever."""
    here = invocation(context)
    path = member_path(here, who, organization)
    confirm(f"Remove {who} and revoke the person's keys here?", yes=yes)
    show_record(here.client.delete(path), as_json=as_json)


@app.command("transfer-ownership")
def transfer_ownership(
    context: typer.Context, who: Who, organization: Organization = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Make somebody else the owner; you become an admin."""
    here = invocation(context)
    owner = member_id(here, who, here.organization(organization))
    confirm(f"Make {who} the owner in your place?", yes=yes)
    path = f"/organizations/{here.organization(organization)}/transfer-ownership"
    show_record(here.client.post(path, {"user_id": owner}), as_json=as_json)


def member_id(here: Invocation, who: str, organization_id: str) -> str:
    """The user id of a member named by it or by email."""
    return here.identify(who, f"/organizations/{organization_id}/members", "email", "member", {"email": who})


def member_path(here: Invocation, who: str, organization: str | None) -> str:
    """Where a member is."""
    organization_id = here.organization(organization)
    return f"/organizations/{organization_id}/members/{member_id(here, who, organization_id)}"
