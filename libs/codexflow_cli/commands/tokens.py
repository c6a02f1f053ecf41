"""`codexflow tokens`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import invocation
from codexflow_cli.options import DEFAULT_PAGE, Cursor, Json, PageSize, TokenExpiry, TokenScopes, Yes, confirm, given
from codexflow_cli.rendering import say, show_list, show_secret

app = typer.Typer(no_args_is_help=True, help="Your personal access tokens: for scripts that act as you")

COLUMNS = ("id", "name", "hint", "scopes", "last_used_at", "expires_at")
PATH = "/auth/tokens"


@app.command("list")
def index(context: typer.Context, page_size: PageSize = DEFAULT_PAGE, cursor: Cursor = None, as_json: Json = False) -> None:
    """Yours, without their secrets."""
    answer = invocation(context).client.get(PATH, {"limit": page_size, "cursor": cursor})
    show_list(answer, COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    scopes: TokenScopes = None,
    expires_at: TokenExpiry = None,
    as_json: Json = False,
) -> None:
    """A new one, printed once on the last line. Put it into CODEXFLOW_TOKEN."""
    body = given(name=name, scopes=scopes, expires_at=expires_at)
    show_secret(invocation(context).client.create(PATH, body), "token", as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    token: Annotated[str, typer.Argument(metavar="ID|NAME")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """For ever, at once."""
    here = invocation(context)
    named = here.identify(token, PATH, "name", "personal token")
    confirm(f"Revoke {token} for ever?", yes=yes)
    here.client.delete(f"{PATH}/{named}")
    if not as_json:
        say("Revoked.")
