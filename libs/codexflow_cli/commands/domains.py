"""`codexflow domains`: for operators."""

from typing import Annotated
from urllib.parse import quote

import typer

from codexflow_cli.invocation import invocation
from codexflow_cli.options import Json, Organization, Yes, confirm
from codexflow_cli.rendering import say, show_list, show_record

app = typer.Typer(no_args_is_help=True, help="Mail domains whose people belong to an organization (operators; name it by id)")

COLUMNS = ("domain", "provider", "default_role", "created_at")
Domain = Annotated[str, typer.Argument(metavar="DOMAIN")]


@app.command("list")
def index(context: typer.Context, organization: Organization = None, as_json: Json = False) -> None:
    """Those of an organization."""
    here = invocation(context)
    show_list(here.client.get(f"/organizations/{here.organization(organization)}/domains"), COLUMNS, as_json=as_json)


@app.command("map")
def put(
    context: typer.Context,
    domain: Domain,
    provider: Annotated[str, typer.Option("--provider", help="The identity provider that vouches for its people")],
    default_role: Annotated[
        str | None, typer.Option("--role", help="For people in no mapped group; without it they stay out")
    ] = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """From their next sign-in on, its people belong to the organization."""
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}/domains/{quote(domain.lower(), safe='')}"
    show_record(here.client.put(path, {"provider": provider, "default_role": default_role}), as_json=as_json)


@app.command("unmap")
def delete(
    context: typer.Context, domain: Domain, organization: Organization = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Nobody new comes by it; members stay."""
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}/domains/{quote(domain.lower(), safe='')}"
    confirm(f"Take {domain} from the organization?", yes=yes)
    here.client.delete(path)
    if not as_json:
        say("Unmapped.")
