"""`codexflow forgot-password`, `reset-password`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import invocation
from codexflow_cli.rendering import say
from codexflow_cli.secret_input import FromStdin, ask_secret

app = typer.Typer()


@app.command("forgot-password")
def forgot(context: typer.Context, email: Annotated[str, typer.Argument(metavar="EMAIL")]) -> None:
    """Have a link mailed for a new password, where the service sends mail."""
    say(str(invocation(context).stranger.post("/auth/password-reset", {"email": email}).document["detail"]))


@app.command("reset-password")
def reset(context: typer.Context, from_stdin: FromStdin = False) -> None:
    """Choose a new password: paste the link that you were given; all your sign-ins end. On standard input: the link, then the
    new password.
    """
    here = invocation(context)
    token = ask_secret("The link", from_stdin=from_stdin).rpartition("#token=")[2]
    new = ask_secret("New password", from_stdin=from_stdin, again=True)
    here.stranger.post("/auth/password-reset/confirm", {"token": token, "new_password": new})
    say("Changed. Next: codexflow login")
