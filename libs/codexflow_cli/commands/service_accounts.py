"""`codexflow service-accounts`."""

from typing import Annotated, Literal

import typer

from codexflow_cli.commands import service_account_tokens
from codexflow_cli.commands.owners import service_account_path
from codexflow_cli.invocation import invocation
from codexflow_cli.limits import LimitOption, parse_limits
from codexflow_cli.options import (
    DEFAULT_PAGE,
    Cursor,
    IfVersion,
    Json,
    NewName,
    Organization,
    PageSize,
    Yes,
    changes,
    confirm,
    given,
)
from codexflow_cli.rendering import show_list, show_record

app = typer.Typer(no_args_is_help=True, help="Automation with a role of its own in an organization, bound to no person")
app.add_typer(service_account_tokens.app, name="tokens")

COLUMNS = ("id", "name", "role", "status", "created_at")
Which = Annotated[str, typer.Argument(metavar="ID|NAME")]
AutomationRole = Literal["admin", "developer", "billing", "viewer"]


@app.command("list")
def index(
    context: typer.Context,
    organization: Organization = None,
    status: Annotated[
        Literal["active", "suspended", "ended"] | None, typer.Option("--status", help="Only those; without it all but the ended")
    ] = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Those of an organization."""
    here = invocation(context)
    query = {"status": status, "limit": page_size, "cursor": cursor}
    path = f"/organizations/{here.organization(organization)}/service-accounts"
    show_list(here.client.get(path, query), COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[AutomationRole, typer.Option("--role", help="What it may do; at most what you may")],
    limits: LimitOption = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """A new one, without a token yet: `codexflow service-accounts tokens create`."""
    here = invocation(context)
    body = given(name=name, role=role, limits=parse_limits(limits))
    path = f"/organizations/{here.organization(organization)}/service-accounts"
    show_record(here.client.create(path, body), as_json=as_json)


@app.command()
def show(context: typer.Context, account: Which, organization: Organization = None, as_json: Json = False) -> None:
    """One of them, with limits."""
    here = invocation(context)
    show_record(here.client.get(service_account_path(here, account, organization)), as_json=as_json)


@app.command()
def update(
    context: typer.Context,
    account: Which,
    name: NewName = None,
    role: Annotated[AutomationRole | None, typer.Option("--role", help="What it may do")] = None,
    organization: Organization = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what is given; the rest stays. Limits: `codexflow limits set service-account …`."""
    here, body = invocation(context), changes(name=name, role=role)
    path = service_account_path(here, account, organization)
    show_record(here.client.change(path, body, if_version=if_version), as_json=as_json)


@app.command()
def suspend(
    context: typer.Context, account: Which, organization: Organization = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Refuse its tokens and close its keys until it is resumed."""
    here = invocation(context)
    path = service_account_path(here, account, organization)
    confirm(f"Refuse the tokens of {account} and close its keys?", yes=yes)
    show_record(here.client.change(path, {"status": "suspended"}), as_json=as_json)


@app.command()
def resume(context: typer.Context, account: Which, organization: Organization = None, as_json: Json = False) -> None:
    """Open a suspended one again."""
    here = invocation(context)
    path = service_account_path(here, account, organization)
    show_record(here.client.change(path, {"status": "active"}), as_json=as_json)


@app.command()
def close(
    context: typer.Context, account: Which, organization: Organization = None, yes: Yes = False, as_json: Json = False
) -> None:
    """End it for ever, with its tokens and keys."""
    here = invocation(context)
    path = service_account_path(here, account, organization)
    confirm(f"Close {account} for ever, with its tokens and keys?", yes=yes)
    show_record(here.client.delete(path), as_json=as_json)
