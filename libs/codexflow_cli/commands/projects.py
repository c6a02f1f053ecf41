"""`codexflow projects`."""

from typing import Annotated, Any, Literal

import typer

from codexflow_cli.commands.plans import plan_id
from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.limits import AlertOption, EnforcementOption, LimitOption, parse_limits
from codexflow_cli.options import (
    DEFAULT_PAGE,
    NONE,
    Cursor,
    IfVersion,
    Json,
    NewName,
    Organization,
    PageSize,
    Slug,
    Yes,
    changes,
    confirm,
    given,
    number,
)
from codexflow_cli.rendering import show_list, show_record

app = typer.Typer(no_args_is_help=True, help="Projects: budgets and policies that keys belong to")

COLUMNS = ("id", "slug", "name", "environment", "status", "limits.monthly_cost_nanousd", "limits.monthly_tokens")
Which = Annotated[str | None, typer.Argument(metavar="[ID|SLUG]", help="Default: the configured one")]

BudgetMode = Annotated[
    Literal["strict", "sliced", "expected"] | None, typer.Option("--budget-mode", help="How requests are held against limits")
]
OnNoGrant = Annotated[
    Literal["closed", "open", "grace"] | None, typer.Option("--on-no-grant", help="While the budget cannot be asked")
]
OnUnpriced = Annotated[
    Literal["deny", "estimate", "allow"] | None,
    typer.Option("--on-unpriced", help="A model without a price under a cost limit"),
]
RevokedStreams = Annotated[
    Literal["cut", "finish"] | None, typer.Option("--revoked-streams", help="Running streams of a key that is revoked")
]
CacheScope = Annotated[
    Literal["off", "project", "key"] | None, typer.Option("--cache", help="Whose answers the response cache may serve")
]
CacheSeconds = Annotated[int | None, typer.Option("--cache-seconds", help="How long it keeps them")]
DefaultTier = Annotated[
    Literal["fast", "deep", "none"] | None, typer.Option("--default-tier", help="What `auto` means; none: by length")
]
DeepFrom = Annotated[
    str | None, typer.Option("--deep-from-characters", metavar="N|none", help="`auto` means deep from this length on")
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NAME|none", help="What its keys may use; may be repeated; none: everything"),
]
FastModels = Annotated[list[str] | None, typer.Option("--fast-model", metavar="NAME|none", help="What the fast tier may use")]
DeepModels = Annotated[list[str] | None, typer.Option("--deep-model", metavar="NAME|none", help="What the deep tier may use")]
Environment = Annotated[str | None, typer.Option("--environment", help="A label, like production")]
Plan = Annotated[str | None, typer.Option("--plan", metavar="ID|NAME|none", help="Whose limits it inherits")]
Retention = Annotated[
    str | None, typer.Option("--retention-days", metavar="DAYS|none", help="How long the rows of its requests are kept")
]
EndUserLimit = Annotated[
    list[str] | None, typer.Option("--end-user-limit", metavar="NAME=VALUE", help="For each end user, written like --limit")
]


@app.command("list")
def index(
    context: typer.Context,
    organization: Organization = None,
    status: Annotated[Literal["active", "suspended"] | None, typer.Option("--status", help="Only those")] = None,
    environment: Annotated[str | None, typer.Option("--environment", help="Only those with this label")] = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="ID|NAME", help="Only those with this plan")] = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Those of an organization."""
    here = invocation(context)
    organization_id = here.organization(organization)
    wanted_plan = plan_id(here, plan, organization_id) if plan else None
    query = {"status": status, "environment": environment, "plan_id": wanted_plan, "limit": page_size, "cursor": cursor}
    show_list(here.client.get(f"/organizations/{organization_id}/projects", query), COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    slug: Slug = None,
    plan: Plan = None,
    environment: Environment = None,
    models: Models = None,
    limits: LimitOption = None,
    end_user_limits: EndUserLimit = None,
    alert_percents: AlertOption = None,
    budget_mode: BudgetMode = None,
    on_no_grant: OnNoGrant = None,
    on_unpriced: OnUnpriced = None,
    enforcement: EnforcementOption = None,
    revoked_streams: RevokedStreams = None,
    cache: CacheScope = None,
    cache_seconds: CacheSeconds = None,
    default_tier: DefaultTier = None,
    deep_from_characters: DeepFrom = None,
    fast_models: FastModels = None,
    deep_models: DeepModels = None,
    retention_days: Retention = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """A new one; its limits count from now on."""
    here = invocation(context)
    organization_id = here.organization(organization)
    body = given(
        name=name,
        slug=slug,
        plan_id=_plan(here, plan, organization_id),
        environment=environment,
        models=models,
        limits=parse_limits(limits),
        end_user_limits=parse_limits(end_user_limits),
        alert_percents=alert_percents,
        budget_mode=budget_mode,
        on_no_grant=on_no_grant,
        on_unpriced=on_unpriced,
        enforcement=enforcement,
        revoked_streams=revoked_streams,
        cache=given(scope=cache, ttl_seconds=cache_seconds),
        tier=_tier(default_tier, deep_from_characters, fast_models, deep_models),
        retention_days=number(retention_days),
    )
    show_record(here.client.create(f"/organizations/{organization_id}/projects", body), as_json=as_json)


@app.command()
def show(context: typer.Context, project: Which = None, organization: Organization = None, as_json: Json = False) -> None:
    """One of them, with limits and policies."""
    here = invocation(context)
    show_record(here.client.get(f"/projects/{here.project(project, organization)}"), as_json=as_json)


@app.command()
def update(
    context: typer.Context,
    project: Which = None,
    name: NewName = None,
    slug: Slug = None,
    plan: Plan = None,
    environment: Environment = None,
    models: Models = None,
    alert_percents: AlertOption = None,
    inherit: Annotated[
        list[str] | None,
        typer.Option("--inherit", metavar="FIELD", help="Let this limit follow the plan again, by the API's name"),
    ] = None,
    budget_mode: BudgetMode = None,
    on_no_grant: OnNoGrant = None,
    on_unpriced: OnUnpriced = None,
    enforcement: EnforcementOption = None,
    revoked_streams: RevokedStreams = None,
    cache: CacheScope = None,
    cache_seconds: CacheSeconds = None,
    default_tier: DefaultTier = None,
    deep_from_characters: DeepFrom = None,
    fast_models: FastModels = None,
    deep_models: DeepModels = None,
    retention_days: Retention = None,
    organization: Organization = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what is given; the rest stays. Limits: `codexflow limits set project …`."""
    here = invocation(context)
    body = changes(
        name=name,
        slug=slug,
        plan_id=_plan(here, plan, organization),
        environment=environment,
        models=models,
        alert_percents=alert_percents,
        inherit=inherit,
        budget_mode=budget_mode,
        on_no_grant=on_no_grant,
        on_unpriced=on_unpriced,
        enforcement=enforcement,
        revoked_streams=revoked_streams,
        cache=given(scope=cache, ttl_seconds=cache_seconds),
        tier=_tier(default_tier, deep_from_characters, fast_models, deep_models),
        retention_days=number(retention_days),
    )
    _change(here, project, organization, body, if_version=if_version, as_json=as_json)


@app.command()
def suspend(
    context: typer.Context,
    project: Which = None,
    organization: Organization = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Close all its keys at the gateways until it is resumed."""
    confirm(f"Close all keys of {project or 'the project'}?", yes=yes)
    _change(invocation(context), project, organization, {"status": "suspended"}, as_json=as_json)


@app.command()
def resume(context: typer.Context, project: Which = None, organization: Organization = None, as_json: Json = False) -> None:
    """Open a suspended one again."""
    _change(invocation(context), project, organization, {"status": "active"}, as_json=as_json)


def _change(
    here: Invocation,
    project: str | None,
    organization: str | None,
    body: dict[str, object],
    *,
    if_version: int | None = None,
    as_json: bool,
) -> None:
    path = f"/projects/{here.project(project, organization)}"
    show_record(here.client.change(path, body, if_version=if_version), as_json=as_json)


def _plan(here: Invocation, plan: str | None, organization: str | None) -> str | None:
    return plan if plan in (None, NONE) else plan_id(here, plan, here.organization(organization))


def _tier(
    default_tier: str | None, deep_from: str | None, fast_models: list[str] | None, deep_models: list[str] | None
) -> dict[str, Any]:
    return given(
        default_tier=default_tier,
        deep_from_characters=number(deep_from),
        fast_models=fast_models,
        deep_models=deep_models,
    )
