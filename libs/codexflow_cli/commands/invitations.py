"""`codexflow invitations`."""

from typing import Annotated, Literal

import typer

from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.options import DEFAULT_PAGE, Cursor, Json, Organization, PageSize, Yes, confirm, given
from codexflow_cli.rendering import say, show_list, show_record, show_secret
from codexflow_cli.secret_input import FromStdin, ask_secret
from common.contracts.roles import Role

app = typer.Typer(no_args_is_help=True, help="Invitations to an organization")

COLUMNS = ("id", "email", "role", "status", "expires_at")


@app.command("list")
def index(
    context: typer.Context,
    organization: Organization = None,
    status: Annotated[
        Literal["open", "accepted", "revoked", "expired"] | None, typer.Option("--status", help="Only those with this status")
    ] = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Those of an organization, without their links."""
    here = invocation(context)
    query = {"status": status, "limit": page_size, "cursor": cursor}
    show_list(here.client.get(f"/organizations/{here.organization(organization)}/invitations", query), COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    role: Annotated[Role, typer.Option("--role", help="What the person is to be")],
    days: Annotated[int | None, typer.Option("--days", min=1, max=30, help="How long the link is good")] = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Invite somebody. The link is mailed where mail is configured, and printed once, on the last line."""
    here = invocation(context)
    body = given(email=email, role=role, expires_in_days=days)
    answer = here.client.create(f"/organizations/{here.organization(organization)}/invitations", body)
    show_secret(answer, "link", as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    invitation: Annotated[str, typer.Argument(metavar="ID|EMAIL")],
    organization: Organization = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Withdraw one that is open."""
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}/invitations"
    named = here.identify(invitation, path, "email", "open invitation", {"status": "open", "email": invitation})
    confirm(f"Withdraw the invitation of {invitation}?", yes=yes)
    show_record(here.client.delete(f"{path}/{named}"), as_json=as_json)


@app.command()
def accept(
    context: typer.Context,
    name: Annotated[str | None, typer.Option("--name", help="Your name, if you have no account here yet")] = None,
    from_stdin: FromStdin = False,
    as_json: Json = False,
) -> None:
    """Take up an invitation: paste its link; somebody new also chooses a password. Then `codexflow login`."""
    here = invocation(context)
    token = ask_secret("The link of the invitation", from_stdin=from_stdin).rpartition("#token=")[2]
    body = {"token": token, **_newcomer(here, token, name, from_stdin=from_stdin)}
    client = here.stranger if "password" in body else here.client
    show_record(client.post("/invitations/accept", body), as_json=as_json)


def _newcomer(here: Invocation, token: str, name: str | None, *, from_stdin: bool) -> dict[str, str]:
    seen = here.stranger.post("/invitations/preview", {"token": token}).document
    if seen["provider"]:
        say(f"{seen['email']} signs in by: codexflow login --provider {seen['provider']}")
    if seen["provider"] or seen["has_account"]:
        return {}
    chosen = name or typer.prompt(f"Your name, as {seen['role']} of {seen['organization_name']}", err=True)
    return {"name": chosen, "password": ask_secret("New password", from_stdin=from_stdin, again=True)}
