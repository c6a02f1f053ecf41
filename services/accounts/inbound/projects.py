"""Projects over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.limits import AlertPercents, Enforcement, LimitsAnswer, LimitsBody
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import LARGEST, UNSET, Answer, Body, Identifier, Listing, Models, Name, PageWanted, Slug, Text, listing
from accounts.use_cases.create_project import NewProject, create_project
from accounts.use_cases.list_projects import list_projects
from accounts.use_cases.show_project import show_project
from accounts.use_cases.update_project import update_project
from common.contracts.directory import CachePolicy, TierPolicy

router = APIRouter(prefix="/api/v1", tags=["projects"])
READ, MANAGE = {"x-permission": "projects.read"}, {"x-permission": "projects.manage"}

BudgetMode = Annotated[
    Literal["strict", "sliced", "expected"],
    Field(
        description="How a request is held against the limits: `strict` at its dearest outcome, `sliced` piece by piece while a "
        "stream runs, `expected` at its likely cost"
    ),
]
OnNoGrant = Annotated[
    Literal["closed", "open", "grace"],
    Field(
        description="What happens while the budget cannot be asked: `closed` refuses, `open` lets pass, `grace` lets a bounded "
        "amount pass: one percent of the limit, shared by the gateways"
    ),
]
OnUnpriced = Annotated[
    Literal["deny", "estimate", "allow"],
    Field(
        description="What becomes of a model without a price under a cost limit: `deny` refuses it, `estimate` holds and charges it at "
        "the dearest rates of the price book, `allow` lets it pass and flags its cost as unpriced"
    ),
]
RevokedStreams = Annotated[
    Literal["finish", "cut"], Field(description="What becomes of running streams when their key is revoked or suspended")
]
Retention = Annotated[
    int | None,
    Field(
        ge=1,
        le=3650,
        description="Days that the raw rows of its requests are kept; null = as long as usage keeps all. Aggregates and the ledger stay.",
    ),
]
PromptLogging = Annotated[
    Literal[False], Field(description="Nothing logs prompts or answers in this release, so only false is accepted")
]
Environment = Annotated[Text, Field(max_length=64, examples=["production"], description="A label of your own")]
PlanId = Annotated[UUID, Field(strict=False)]
ProjectStatus = Literal["active", "suspended"]
CacheScope = Literal["off", "project", "key"]
Tier = Literal["fast", "deep"]
Seconds = Annotated[int, Field(ge=1, le=30 * 86_400)]
Characters = Annotated[int, Field(ge=0, le=LARGEST)]
ProjectModels = Annotated[Models | None, Field(description="What its keys may use, nothing else; null = everything")]
ProjectLimits = Annotated[
    LimitsBody,
    Field(description="What is given overrides the plan; null = no limit, although the plan has one"),
]
EndUserLimits = Annotated[
    LimitsBody,
    Field(description="For each value of the OpenAI field `user`, counted from when the first of them is set"),
]
Inherited = Literal[
    "monthly_tokens",
    "monthly_cost_nanousd",
    "daily_tokens",
    "daily_cost_nanousd",
    "requests_per_minute",
    "tokens_per_minute",
    "concurrency",
    "alert_percents",
]
Inherit = Annotated[
    list[Inherited],
    Field(max_length=8, description="Overrides to drop: these follow the plan again, or are no limit in a project without one"),
]


class CacheBody(Body):
    """The response cache."""

    scope: CacheScope = UNSET
    ttl_seconds: Seconds = UNSET


class TierBody(Body):
    """How `auto` chooses, and what a tier may use; null = the gateway's default."""

    deep_from_characters: Characters | None = None
    default_tier: Tier | None = None
    fast_models: Models | None = None
    deep_models: Models | None = None


class NewProjectBody(Body):
    """A new project."""

    name: Name
    slug: Slug | None = None
    plan_id: Annotated[PlanId | None, Field(description="Whose limits and alerts it inherits; null = no plan")] = None
    environment: Environment = ""
    models: ProjectModels = None
    limits: ProjectLimits = LimitsBody()
    end_user_limits: EndUserLimits = LimitsBody()
    alert_percents: Annotated[AlertPercents | None, Field(description="Overrides the plan's; null = the plan's")] = None
    budget_mode: BudgetMode = "strict"
    on_no_grant: OnNoGrant = "closed"
    on_unpriced: OnUnpriced = "deny"
    enforcement: Enforcement = "hard"
    revoked_streams: RevokedStreams = "cut"
    cache: CacheBody = CacheBody()
    tier: TierBody = TierBody()
    prompt_logging: PromptLogging = False
    retention_days: Retention = None


class ProjectChanges(Body):
    """Fields to change; the others stay, also within `limits`, `end_user_limits`, `cache` and `tier`."""

    name: Name = UNSET
    slug: Slug = UNSET
    status: ProjectStatus = UNSET
    plan_id: Annotated[PlanId | None, Field(description="Another plan; null = none. Overrides stay.")] = None
    environment: Environment = UNSET
    models: ProjectModels = None
    limits: ProjectLimits = UNSET
    end_user_limits: EndUserLimits = UNSET
    alert_percents: Annotated[AlertPercents, Field(description="Overrides the plan's")] = UNSET
    inherit: Inherit = UNSET
    budget_mode: BudgetMode = UNSET
    on_no_grant: OnNoGrant = UNSET
    on_unpriced: OnUnpriced = UNSET
    enforcement: Enforcement = UNSET
    revoked_streams: RevokedStreams = UNSET
    cache: CacheBody = UNSET
    tier: TierBody = UNSET
    prompt_logging: PromptLogging = UNSET
    retention_days: Retention = None


class CacheAnswer(Answer):
    """The response cache."""

    scope: str
    ttl_seconds: int


class TierAnswer(Answer):
    """How `auto` chooses, and what a tier may use."""

    deep_from_characters: int | None
    default_tier: str | None
    fast_models: list[str] | None
    deep_models: list[str] | None


class ProjectAnswer(Answer):
    """A project."""

    id: str
    organization_id: str
    name: str
    slug: str
    status: str
    plan_id: str | None
    environment: str
    models: list[str] | None
    limits: Annotated[LimitsAnswer, Field(description="In force: the plan's, with the overrides over them")]
    limit_overrides: Annotated[
        dict[str, int | list[int] | None],
        Field(description="What does not follow the plan, by name (also `alert_percents`)", examples=[{"daily_tokens": None}]),
    ]
    end_user_limits: LimitsAnswer
    alert_percents: Annotated[list[int], Field(description="In force: the plan's or the project's own", examples=[[80, 100]])]
    budget_mode: str
    on_no_grant: str
    on_unpriced: str
    enforcement: str
    revoked_streams: str
    cache: CacheAnswer
    tier: TierAnswer
    prompt_logging: Literal[False] = False
    retention_days: int | None
    version: int
    created_at: datetime
    updated_at: datetime


async def _only(
    status: Annotated[ProjectStatus | None, Query(description="Only those with this status")] = None,
    environment: Annotated[Environment | None, Query(description="Only those with this label")] = None,
    plan_id: Annotated[UUID | None, Query(description="Only those with this plan")] = None,
    slug: Annotated[Slug | None, Query(description="Only the one with this slug")] = None,
    name: Annotated[Text | None, Field(min_length=1, max_length=200), Query(description="Part of the name")] = None,
) -> dict[str, str]:
    wanted = {
        "name": name,
        "status": status,
        "environment": environment,
        "plan_id": str(plan_id) if plan_id else None,
        "slug": slug,
    }
    return {name: value for name, value in wanted.items() if value is not None}


@router.get("/organizations/{organization_id}/projects", summary="The projects of an organization", openapi_extra=READ)
async def index(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    page: PageWanted,
    only: Annotated[dict[str, str], Depends(_only)],
) -> Listing[ProjectAnswer]:
    """Oldest first."""
    return listing(await list_projects(context, caller, str(organization_id), page, only), ProjectAnswer)


@router.post(
    "/organizations/{organization_id}/projects",
    status_code=status.HTTP_201_CREATED,
    summary="Create a project",
    openapi_extra=MANAGE,
)
async def create(context: CurrentContext, caller: Caller, organization_id: Identifier, body: NewProjectBody) -> ProjectAnswer:
    """Its limits count from now on, in the calendar of the organization's time zone."""
    values = body.model_dump(exclude={"limits", "end_user_limits", "cache", "tier", "plan_id", "prompt_logging"})
    new = NewProject(
        **values,
        plan_id=str(body.plan_id) if body.plan_id else None,
        limits=body.limits.model_dump(exclude_unset=True),
        end_user_limits=body.end_user_limits.model_dump(exclude_unset=True),
        cache=CachePolicy(**body.cache.model_dump(exclude_unset=True)),
        tier=_tier(body.tier),
    )
    return ProjectAnswer.model_validate(await create_project(context, caller, str(organization_id), new))


def _tier(body: TierBody) -> TierPolicy:
    names = body.model_dump()
    listed = {name: None if names[name] is None else tuple(names[name]) for name in ("fast_models", "deep_models")}
    return TierPolicy(**{**names, **listed})


@router.get("/projects/{project_id}", summary="Show a project", openapi_extra=READ)
async def show(context: CurrentContext, caller: Caller, response: Response, project_id: Identifier) -> ProjectAnswer:
    """Somebody else's project is answered like one that does not exist."""
    project = await show_project(context, caller, str(project_id))
    tag(response, project.version)
    return ProjectAnswer.model_validate(project)


@router.patch("/projects/{project_id}", summary="Change a project", openapi_extra=MANAGE)
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    project_id: Identifier,
    body: ProjectChanges,
    expected: ExpectedVersion,
) -> ProjectAnswer:
    """A change of a limit raises `limits.version`; what was spent in the period stays spent. Suspending closes its keys."""
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"prompt_logging"})
    if changes.get("plan_id"):
        changes["plan_id"] = str(changes["plan_id"])
    project = await update_project(context, caller, str(project_id), changes, expected)
    tag(response, project.version)
    return ProjectAnswer.model_validate(project)
