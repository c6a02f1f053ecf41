"""`codexflow bootstrap`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import invocation
from codexflow_cli.options import Json, given
from codexflow_cli.rendering import say, show_record
from codexflow_cli.secret_input import FromStdin, ask_secret

app = typer.Typer()


@app.command()
def bootstrap(
    context: typer.Context,
    email: Annotated[str | None, typer.Option("--email", help="Who is to run the installation; asked for when left out")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The person's name")] = None,
    organization: Annotated[str | None, typer.Option("--organization", "-o", help="What the first one is to be called")] = None,
    from_stdin: FromStdin = False,
    as_json: Json = False,
) -> None:
    """Make the first user of an empty installation. On standard input: the setup token (ACCOUNTS_BOOTSTRAP_TOKEN of the service),
    then the password that the person is to have.
    """
    here = invocation(context)
    email = email or typer.prompt("Email", err=True)
    token = ask_secret("Setup token", from_stdin=from_stdin)
    password = ask_secret("New password", from_stdin=from_stdin, again=True)
    body = given(token=token, email=email, password=password, name=name, organization=organization)
    show_record(here.stranger.post("/bootstrap", body), as_json=as_json)
    if not as_json:
        say(f"Next: codexflow login --email {email}")
