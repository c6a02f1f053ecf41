"""Projects over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response, status
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import (
    LARGEST,
    UNSET,
    Amount,
    Answer,
    Body,
    Identifier,
    Listing,
    Models,
    Name,
    PageWanted,
    Slug,
    listing,
)
from accounts.use_cases.create_project import NewProject, create_project
from accounts.use_cases.list_projects import list_projects
from accounts.use_cases.show_project import show_project
from accounts.use_cases.update_project import update_project
from common.contracts.directory import CachePolicy, TierPolicy

router = APIRouter(prefix="/api/v1", tags=["projects"])

# The records know more modes than the gateways keep; what would be accepted and then not done is refused by field.
BudgetMode = Literal["strict"]
OnNoGrant = Literal["closed"]
Retention = Annotated[None, Field(description="null: raw rows are kept as long as usage is set to keep them")]
RevokedStreams = Literal["finish", "cut"]
ProjectStatus = Literal["active", "suspended"]
CacheScope = Literal["off", "project", "key"]
Tier = Literal["fast", "deep"]
Seconds = Annotated[int, Field(ge=1, le=30 * 86_400)]
Characters = Annotated[int, Field(ge=0, le=LARGEST)]


class LimitsBody(Body):
    """Hard limits; null = no limit. In a PATCH, what is left out stays."""

    monthly_tokens: Amount | None = None
    monthly_cost_nanousd: Annotated[Amount | None, Field(description="1 USD = 1 000 000 000")] = None


class CacheBody(Body):
    """The response cache."""

    scope: CacheScope = UNSET
    ttl_seconds: Seconds = UNSET


class TierBody(Body):
    """How `auto` chooses; null = the gateway's default."""

    deep_from_characters: Characters | None = None
    default_tier: Tier | None = None


class NewProjectBody(Body):
    """A new project."""

    name: Name
    slug: Slug | None = None
    models: Annotated[Models | None, Field(description="What its keys may use; null = everything")] = None
    limits: LimitsBody = LimitsBody()
    budget_mode: BudgetMode = "strict"
    on_no_grant: OnNoGrant = "closed"
    revoked_streams: RevokedStreams = "cut"
    cache: CacheBody = CacheBody()
    tier: TierBody = TierBody()
    retention_days: Retention = None


class ProjectChanges(Body):
    """Fields to change; the others stay."""

    name: Name = UNSET
    slug: Slug = UNSET
    status: ProjectStatus = UNSET
    models: Models | None = None
    limits: LimitsBody = UNSET
    budget_mode: BudgetMode = UNSET
    on_no_grant: OnNoGrant = UNSET
    revoked_streams: RevokedStreams = UNSET
    cache: CacheBody = UNSET
    tier: TierBody = UNSET
    retention_days: Retention = None


class LimitsAnswer(Answer):
    """Hard limits; `version` rises with every change of any of them."""

    version: int
    monthly_tokens: int | None
    monthly_cost_nanousd: int | None


class CacheAnswer(Answer):
    """The response cache."""

    scope: str
    ttl_seconds: int


class TierAnswer(Answer):
    """How `auto` chooses."""

    deep_from_characters: int | None
    default_tier: str | None


class ProjectAnswer(Answer):
    """A project."""

    id: str
    organization_id: str
    name: str
    slug: str
    status: str
    models: list[str] | None
    limits: LimitsAnswer
    budget_mode: str
    on_no_grant: str
    revoked_streams: str
    cache: CacheAnswer
    tier: TierAnswer
    retention_days: int | None
    version: int
    created_at: datetime
    updated_at: datetime


@router.get("/organizations/{organization_id}/projects", summary="The projects of an organization")
async def index(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    page: PageWanted,
    status: Annotated[ProjectStatus | None, Query(description="Only those with this status")] = None,
) -> Listing[ProjectAnswer]:
    """Oldest first."""
    return listing(await list_projects(context, caller, str(organization_id), page, status), ProjectAnswer)


@router.post("/organizations/{organization_id}/projects", status_code=status.HTTP_201_CREATED, summary="Create a project")
async def create(context: CurrentContext, caller: Caller, organization_id: Identifier, body: NewProjectBody) -> ProjectAnswer:
    """Its limits count from now on, in the calendar of the organization's time zone."""
    values = body.model_dump(exclude={"limits", "cache", "tier"})
    new = NewProject(
        **values,
        limits=body.limits.model_dump(),
        cache=CachePolicy(**body.cache.model_dump(exclude_unset=True)),
        tier=TierPolicy(**body.tier.model_dump()),
    )
    return ProjectAnswer.model_validate(await create_project(context, caller, str(organization_id), new))


@router.get("/projects/{project_id}", summary="Show a project")
async def show(context: CurrentContext, caller: Caller, response: Response, project_id: Identifier) -> ProjectAnswer:
    """Somebody else's project is answered like one that does not exist."""
    project = await show_project(context, caller, str(project_id))
    tag(response, project.version)
    return ProjectAnswer.model_validate(project)


@router.patch("/projects/{project_id}", summary="Change a project")
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    project_id: Identifier,
    body: ProjectChanges,
    expected: ExpectedVersion,
) -> ProjectAnswer:
    """A change of a limit raises `limits.version`; what was spent in the period stays spent."""
    changes = body.model_dump(exclude_unset=True)
    project = await update_project(context, caller, str(project_id), changes, expected)
    tag(response, project.version)
    return ProjectAnswer.model_validate(project)
