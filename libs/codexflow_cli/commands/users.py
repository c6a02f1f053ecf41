"""`codexflow users`: for operators."""

from typing import Annotated, Literal

import typer

from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.options import DEFAULT_PAGE, Cursor, IfVersion, Json, NewName, PageSize, Yes, changes, confirm, given
from codexflow_cli.rendering import show_list, show_record, show_secret
from codexflow_cli.secret_input import ask_secret

app = typer.Typer(no_args_is_help=True, help="The users of the installation (operators, after a sign-in)")

COLUMNS = ("id", "email", "name", "status", "operator", "has_password")
Who = Annotated[str, typer.Argument(metavar="ID|EMAIL")]


@app.command("list")
def index(
    context: typer.Context,
    email: Annotated[str | None, typer.Option("--email", help="Only the one with this email")] = None,
    status: Annotated[Literal["active", "suspended"] | None, typer.Option("--status", help="Only those")] = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """All people, whatever organizations they are in."""
    query = {"email": email, "status": status, "limit": page_size, "cursor": cursor}
    show_list(invocation(context).client.get("/users", query), COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    name: Annotated[str | None, typer.Option("--name", help="The person's name")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="Is to run the installation too")] = False,
    from_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read a first password from standard input")] = False,
    as_json: Json = False,
) -> None:
    """Somebody new, as a rule without a password: give them the link of `codexflow users reset-link`."""
    password = ask_secret("Password", from_stdin=True) if from_stdin else None
    body = given(email=email, name=name, operator=operator, password=password)
    show_record(invocation(context).client.create("/users", body), as_json=as_json)


@app.command()
def show(context: typer.Context, who: Who, as_json: Json = False) -> None:
    """One of them."""
    here = invocation(context)
    show_record(here.client.get(_path(here, who)), as_json=as_json)


@app.command()
def update(
    context: typer.Context,
    who: Who,
    email: Annotated[str | None, typer.Option("--email", help="A new address to sign in with")] = None,
    name: NewName = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what is given; the rest stays."""
    here, body = invocation(context), changes(email=email, name=name)
    show_record(here.client.change(_path(here, who), body, if_version=if_version), as_json=as_json)


@app.command()
def suspend(context: typer.Context, who: Who, yes: Yes = False, as_json: Json = False) -> None:
    """No sign-in and no token any more, and all the person's keys are closed, until resumed."""
    here = invocation(context)
    path = _path(here, who)
    confirm(f"Shut {who} out and close all their keys?", yes=yes)
    show_record(here.client.change(path, {"status": "suspended"}), as_json=as_json)


@app.command()
def resume(context: typer.Context, who: Who, as_json: Json = False) -> None:
    """Let a suspended one in again; their keys open, their sessions stay ended."""
    here = invocation(context)
    show_record(here.client.change(_path(here, who), {"status": "active"}), as_json=as_json)


@app.command("grant-operator")
def grant_operator(context: typer.Context, who: Who, yes: Yes = False, as_json: Json = False) -> None:
    """Let somebody run the installation; it gives no rights inside organizations."""
    here = invocation(context)
    path = _path(here, who)
    confirm(f"Make {who} an operator of the whole installation?", yes=yes)
    show_record(here.client.change(path, {"operator": True}), as_json=as_json)


@app.command("revoke-operator")
def revoke_operator(context: typer.Context, who: Who, yes: Yes = False, as_json: Json = False) -> None:
    """Take that back; one active operator always stays."""
    here = invocation(context)
    path = _path(here, who)
    confirm(f"Make {who} no operator any more?", yes=yes)
    show_record(here.client.change(path, {"operator": False}), as_json=as_json)


@app.command("reset-link")
def reset_link(context: typer.Context, who: Who, as_json: Json = False) -> None:
    """A link for a new password, good for one hour and one use, printed once on the last line and mailed where mail is configured."""
    here = invocation(context)
    show_secret(here.client.create(f"{_path(here, who)}/password-reset"), "link", as_json=as_json)


def _path(here: Invocation, who: str) -> str:
    return f"/users/{here.identify(who, '/users', 'email', 'user', {'email': who})}"
