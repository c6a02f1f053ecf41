"""Organizations over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response, status
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.limits import AlertPercents, Enforcement, LimitsAnswer, LimitsBody
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import (
    UNSET,
    Answer,
    Body,
    EffectiveAnswer,
    Identifier,
    Listing,
    Name,
    PageWanted,
    Slug,
    ZoneName,
    listing,
)
from accounts.use_cases.confirm_change import ISSUED_SECONDS, REVOKED_SECONDS, confirm_change
from accounts.use_cases.create_organization import NewOrganization, create_organization
from accounts.use_cases.list_organizations import list_organizations
from accounts.use_cases.show_organization import show_organization
from accounts.use_cases.update_organization import FIELD_PERMISSIONS, update_organization

router = APIRouter(prefix="/api/v1/organizations", tags=["organizations"])

OrganizationStatus = Literal["active", "suspended"]
EndUserLimits = Annotated[LimitsBody, Field(description="For each value of the field `user` of a request, over all projects")]
Staleness = Annotated[int, Field(ge=1, le=86_400, description="How old a gateway's view may be before it refuses, in seconds")]


class OrganizationAnswer(Answer):
    """An organization."""

    id: str
    name: str = Field(examples=["Example Ltd"])
    slug: str = Field(examples=["example-ltd"])
    status: OrganizationStatus
    time_zone: str = Field(examples=["Europe/Berlin"])
    earlier_time_zone: str | None = Field(
        description="By which days and months are still told after a change, until time_zone_from"
    )
    time_zone_from: datetime | None = Field(description="The first month that has begun in both zones; null without a change")
    max_staleness_seconds: int
    limits: LimitsAnswer
    end_user_limits: LimitsAnswer
    alert_percents: list[int]
    enforcement: str
    version: int
    created_at: datetime
    updated_at: datetime


class ChangedOrganizationAnswer(OrganizationAnswer):
    """An organization after a change."""

    effective: EffectiveAnswer


class NewOrganizationBody(Body):
    """A new organization; the caller becomes its owner."""

    name: Name
    slug: Slug | None = None
    time_zone: ZoneName = "UTC"
    max_staleness_seconds: Staleness = 300
    limits: LimitsBody = Field(default_factory=LimitsBody, description="Over all projects")
    end_user_limits: EndUserLimits = Field(default_factory=LimitsBody)
    alert_percents: AlertPercents = Field(default_factory=list)
    enforcement: Enforcement = "hard"


class OrganizationChanges(Body):
    """Fields to change; the others stay."""

    name: Name = UNSET
    slug: Slug = UNSET
    status: Annotated[OrganizationStatus, Field(description="Needs organization.close")] = UNSET
    time_zone: ZoneName = UNSET
    max_staleness_seconds: Staleness = UNSET
    limits: Annotated[LimitsBody, Field(description="Over all projects; needs limits.manage")] = UNSET
    end_user_limits: EndUserLimits = UNSET
    alert_percents: AlertPercents = UNSET
    enforcement: Enforcement = UNSET


@router.get("", summary="The organizations you belong to", openapi_extra={"x-permission": "organization.read"})
async def index(
    context: CurrentContext,
    caller: Caller,
    page: PageWanted,
    status: Annotated[OrganizationStatus | None, Query(description="Only those with this status")] = None,
    slug: Annotated[Slug | None, Query(description="Only the one with this slug")] = None,
) -> Listing[OrganizationAnswer]:
    """Oldest first."""
    return listing(await list_organizations(context, caller, page, status, slug), OrganizationAnswer)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Create an organization", openapi_extra={"x-permission": "self"})
async def create(context: CurrentContext, caller: Caller, body: NewOrganizationBody) -> OrganizationAnswer:
    """Usable at once with the token you have."""
    return OrganizationAnswer.model_validate(await create_organization(context, caller, NewOrganization(**body.model_dump())))


@router.get("/{organization_id}", summary="Show an organization", openapi_extra={"x-permission": "organization.read"})
async def show(context: CurrentContext, caller: Caller, response: Response, organization_id: Identifier) -> OrganizationAnswer:
    """Somebody else's organization is answered like one that does not exist."""
    organization = await show_organization(context, caller, str(organization_id))
    tag(response, organization.version)
    return OrganizationAnswer.model_validate(organization)


@router.patch(
    "/{organization_id}",
    summary="Change an organization",
    openapi_extra={"x-permission": "organization.update", "x-permission-by-field": FIELD_PERMISSIONS},
)
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    organization_id: Identifier,
    body: OrganizationChanges,
    expected: ExpectedVersion,
) -> ChangedOrganizationAnswer:
    """Suspending an organization closes its keys at the gateways; `effective` says on how many they are refused by now."""
    changes = body.model_dump(exclude_unset=True)
    organization = await update_organization(context, caller, str(organization_id), changes, expected)
    tag(response, organization.version)
    within_seconds = REVOKED_SECONDS if "status" in changes else ISSUED_SECONDS
    effective = await confirm_change(context, organization.record(), within_seconds)
    plain = OrganizationAnswer.model_validate(organization).model_dump()
    return ChangedOrganizationAnswer(effective=EffectiveAnswer.model_validate(effective), **plain)
