"""`codexflow sessions`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import invocation
from codexflow_cli.options import DEFAULT_PAGE, Cursor, Json, PageSize
from codexflow_cli.rendering import say, show_list

app = typer.Typer(no_args_is_help=True, help="Where you have signed in")

COLUMNS = ("id", "method", "address", "agent", "refreshed_at", "expires_at")


@app.command("list")
def index(context: typer.Context, page_size: PageSize = DEFAULT_PAGE, cursor: Cursor = None, as_json: Json = False) -> None:
    """Those that live."""
    answer = invocation(context).client.get("/auth/sessions", {"limit": page_size, "cursor": cursor})
    show_list(answer, COLUMNS, as_json=as_json)


@app.command()
def end(context: typer.Context, session: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Sign out there."""
    here = invocation(context)
    here.client.delete(f"/auth/sessions/{here.identify(session, '/auth/sessions', 'id', 'session')}")
    say("Ended.")
