"""`codexflow plans`."""

from typing import Annotated

import typer

from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.limits import AlertOption, LimitOption, parse_limits
from codexflow_cli.options import (
    DEFAULT_PAGE,
    Cursor,
    IfVersion,
    Json,
    NewName,
    Organization,
    PageSize,
    Yes,
    changes,
    confirm,
    given,
)
from codexflow_cli.rendering import say, show_list, show_record

app = typer.Typer(no_args_is_help=True, help="Named sets of limits that projects inherit")

COLUMNS = ("id", "name", "limits.monthly_cost_nanousd", "limits.monthly_tokens", "limits.daily_cost_nanousd", "alert_percents")
Which = Annotated[str, typer.Argument(metavar="ID|NAME")]


@app.command("list")
def index(
    context: typer.Context,
    organization: Organization = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Those of an organization."""
    here = invocation(context)
    query = {"limit": page_size, "cursor": cursor}
    show_list(here.client.get(f"/organizations/{here.organization(organization)}/plans", query), COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: str,
    limits: LimitOption = None,
    alert_percents: AlertOption = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """A new one."""
    here = invocation(context)
    body = given(name=name, limits=parse_limits(limits), alert_percents=alert_percents)
    show_record(here.client.create(f"/organizations/{here.organization(organization)}/plans", body), as_json=as_json)


@app.command()
def show(context: typer.Context, plan: Which, organization: Organization = None, as_json: Json = False) -> None:
    """One of them."""
    here = invocation(context)
    show_record(here.client.get(plan_path(here, plan, organization)), as_json=as_json)


@app.command()
def update(
    context: typer.Context,
    plan: Which,
    name: NewName = None,
    limits: LimitOption = None,
    alert_percents: AlertOption = None,
    organization: Organization = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what is given; all its projects follow, but for what they override."""
    body = changes(name=name, limits=parse_limits(limits), alert_percents=alert_percents)
    here = invocation(context)
    show_record(here.client.change(plan_path(here, plan, organization), body, if_version=if_version), as_json=as_json)


@app.command()
def delete(
    context: typer.Context,
    plan: Which,
    organization: Organization = None,
    if_version: IfVersion = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Refused as long as a project has it."""
    here = invocation(context)
    path = plan_path(here, plan, organization)
    confirm(f"Delete the plan {plan}?", yes=yes)
    here.client.delete(path, if_version=if_version)
    if not as_json:
        say("Deleted.")


def plan_id(here: Invocation, plan: str, organization_id: str) -> str:
    """The identifier of a plan named by it or by its name."""
    return here.identify(plan, f"/organizations/{organization_id}/plans", "name", "plan")


def plan_path(here: Invocation, plan: str, organization: str | None) -> str:
    """Where a plan is."""
    organization_id = here.organization(organization)
    return f"/organizations/{organization_id}/plans/{plan_id(here, plan, organization_id)}"
