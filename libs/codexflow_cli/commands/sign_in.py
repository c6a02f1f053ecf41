"""`codexflow login`, `logout`, `whoami`, `password`."""

from typing import Annotated

import typer

from codexflow_cli.browser_sign_in import sign_in_by_browser
from codexflow_cli.client import Answer, Client
from codexflow_cli.errors import NotSignedIn
from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.options import Json, Yes, confirm
from codexflow_cli.rendering import print_document, say, show_record
from codexflow_cli.secret_input import FromStdin, ask_secret
from codexflow_cli.session import StoredSession, credentials_of

app = typer.Typer()


@app.command()
def login(
    context: typer.Context,
    email: Annotated[str | None, typer.Option("--email", help="Whose password it is; asked for when left out")] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Sign in by this identity provider, in a browser on this machine")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address")] = False,
    from_stdin: FromStdin = False,
) -> None:
    """Sign in, and stay signed in on this machine. The password is typed, or comes on standard input."""
    here = invocation(context)
    if provider:
        answer = sign_in_by_browser(here.stranger, provider, open_browser=not no_browser)
    else:
        email = email or typer.prompt("Email", err=True)
        body = {"email": email, "password": ask_secret("Password", from_stdin=from_stdin)}
        answer = here.stranger.post("/auth/login", body)
    keep(here, answer, email or "")
    say(f"Signed in to {here.url}.")
    if here.settings.token:
        say("But CODEXFLOW_TOKEN, or `token` in config.toml, is set and goes first.")


@app.command()
def logout(
    context: typer.Context,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="End all your sign-ins, on other machines too")] = False,
    personal_tokens: Annotated[
        bool, typer.Option("--personal-tokens", help="With --everywhere: revoke all your personal tokens too")
    ] = False,
    yes: Yes = False,
) -> None:
    """Sign out, and forget the sign-in on this machine."""
    here = invocation(context)
    if everywhere:
        confirm("End all your sign-ins, on every machine?", yes=yes)
    client = Client(here.url, StoredSession(here.store, here.url, here.http), here.http)
    try:
        if everywhere:
            client.post("/auth/logout-everywhere", {"personal_tokens": personal_tokens})
        else:
            client.post("/auth/logout")
    except NotSignedIn:
        say("There was no sign-in to end.")
    else:
        say("Signed out everywhere." if everywhere else f"Signed out of {here.url}.")
    with here.store.locked():
        here.store.remove(here.url)


@app.command()
def whoami(context: typer.Context, as_json: Json = False) -> None:
    """Who you are to the service, and your roles by organization."""
    show_record(invocation(context).client.get("/auth/me"), as_json=as_json)


@app.command()
def password(context: typer.Context, from_stdin: FromStdin = False) -> None:
    """Change your own; all your other sign-ins end. On standard input: the present one, then the new one."""
    here = invocation(context)
    present = ask_secret("Present password", from_stdin=from_stdin)
    new = ask_secret("New password", from_stdin=from_stdin, again=True)
    print_document(here.client.post("/auth/password", {"current_password": present, "new_password": new}))
    say("Changed.")


def keep(here: Invocation, answer: Answer, email: str) -> None:
    """Store a sign-in in place of the one before."""
    with here.store.locked():
        here.store.write(here.url, credentials_of(answer, email=email))
