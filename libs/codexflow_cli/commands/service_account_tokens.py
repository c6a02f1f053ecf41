"""`codexflow service-accounts tokens`."""

from typing import Annotated

import typer

from codexflow_cli.commands.owners import service_account_path
from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.options import (
    DEFAULT_PAGE,
    Cursor,
    Json,
    Organization,
    PageSize,
    TokenExpiry,
    TokenScopes,
    Yes,
    confirm,
    given,
)
from codexflow_cli.rendering import say, show_list, show_secret

app = typer.Typer(no_args_is_help=True, help="Their tokens for the management APIs")

COLUMNS = ("id", "name", "hint", "scopes", "last_used_at", "expires_at")
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The service account's id or name")]


@app.command("list")
def index(
    context: typer.Context,
    account: Account,
    organization: Organization = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Those of one service account, without their secrets."""
    here = invocation(context)
    query = {"limit": page_size, "cursor": cursor}
    show_list(here.client.get(_path(here, account, organization), query), COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    account: Account,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    scopes: TokenScopes = None,
    expires_at: TokenExpiry = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """A new one, printed once on the last line."""
    here = invocation(context)
    body = given(name=name, scopes=scopes, expires_at=expires_at)
    show_secret(here.client.create(_path(here, account, organization), body), "token", as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    account: Account,
    token: Annotated[str, typer.Argument(metavar="ID|NAME")],
    organization: Organization = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """For ever, at once."""
    here = invocation(context)
    path = _path(here, account, organization)
    named = here.identify(token, path, "name", "token")
    confirm(f"Revoke {token} of {account} for ever?", yes=yes)
    here.client.delete(f"{path}/{named}")
    if not as_json:
        say("Revoked.")


def _path(here: Invocation, account: str, organization: str | None) -> str:
    return f"{service_account_path(here, account, organization)}/tokens"
