"""`codexflow orgs`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import invocation
from codexflow_cli.limits import AlertOption, EnforcementOption, LimitOption, parse_limits
from codexflow_cli.options import DEFAULT_PAGE, Cursor, IfVersion, Json, NewName, PageSize, Slug, Yes, changes, confirm, given
from codexflow_cli.rendering import show_list, show_record

app = typer.Typer(no_args_is_help=True, help="Organizations: tenants with members, projects and limits of their own")

COLUMNS = ("id", "slug", "name", "status", "time_zone")
Which = Annotated[str | None, typer.Argument(metavar="[ID|SLUG]", help="Default: the configured one")]
TimeZone = Annotated[str | None, typer.Option("--time-zone", help="The calendar of its budgets, like Europe/Berlin")]
Staleness = Annotated[
    int | None, typer.Option("--max-staleness-seconds", help="How old a gateway's view may be before it refuses")
]


@app.command("list")
def index(context: typer.Context, page_size: PageSize = DEFAULT_PAGE, cursor: Cursor = None, as_json: Json = False) -> None:
    """Those you belong to."""
    answer = invocation(context).client.get("/organizations", {"limit": page_size, "cursor": cursor})
    show_list(answer, COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: str,
    slug: Slug = None,
    time_zone: TimeZone = None,
    max_staleness_seconds: Staleness = None,
    limits: LimitOption = None,
    alert_percents: AlertOption = None,
    enforcement: EnforcementOption = None,
    as_json: Json = False,
) -> None:
    """A new one; you become its owner."""
    body = given(
        name=name,
        slug=slug,
        time_zone=time_zone,
        max_staleness_seconds=max_staleness_seconds,
        limits=parse_limits(limits),
        alert_percents=alert_percents,
        enforcement=enforcement,
    )
    show_record(invocation(context).client.create("/organizations", body), as_json=as_json)


@app.command()
def show(context: typer.Context, organization: Which = None, as_json: Json = False) -> None:
    """One of them."""
    here = invocation(context)
    show_record(here.client.get(f"/organizations/{here.organization(organization)}"), as_json=as_json)


@app.command()
def update(
    context: typer.Context,
    organization: Which = None,
    name: NewName = None,
    slug: Slug = None,
    time_zone: TimeZone = None,
    max_staleness_seconds: Staleness = None,
    alert_percents: AlertOption = None,
    enforcement: EnforcementOption = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what is given; the rest stays."""
    body = changes(
        name=name,
        slug=slug,
        time_zone=time_zone,
        max_staleness_seconds=max_staleness_seconds,
        alert_percents=alert_percents,
        enforcement=enforcement,
    )
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}"
    show_record(here.client.change(path, body, if_version=if_version), as_json=as_json)


@app.command()
def suspend(context: typer.Context, organization: Which = None, yes: Yes = False, as_json: Json = False) -> None:
    """Close all its keys at the gateways until it is resumed."""
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}"
    confirm(f"Close all keys of {organization or 'the organization'}?", yes=yes)
    show_record(here.client.change(path, {"status": "suspended"}), as_json=as_json)


@app.command()
def resume(context: typer.Context, organization: Which = None, as_json: Json = False) -> None:
    """Open a suspended one again."""
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}"
    show_record(here.client.change(path, {"status": "active"}), as_json=as_json)


@app.command()
def leave(context: typer.Context, organization: Which = None, yes: Yes = False, as_json: Json = False) -> None:
    """End your own membership; your keys there are revoked."""
    here = invocation(context)
    path = f"/organizations/{here.organization(organization)}/leave"
    confirm(f"Leave {organization or 'the organization'}? Your keys there are revoked for ever.", yes=yes)
    show_record(here.client.post(path), as_json=as_json)
