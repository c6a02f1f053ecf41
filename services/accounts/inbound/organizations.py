"""Organizations over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response, status
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import UNSET, Answer, Body, Identifier, Listing, Name, PageWanted, Slug, ZoneName, listing
from accounts.use_cases.create_organization import create_organization
from accounts.use_cases.list_organizations import list_organizations
from accounts.use_cases.show_organization import show_organization
from accounts.use_cases.update_organization import update_organization

router = APIRouter(prefix="/api/v1/organizations", tags=["organizations"])

Staleness = Annotated[int, Field(ge=1, le=86_400, description="How old a gateway's view may be before it refuses, in seconds")]


class OrganizationAnswer(Answer):
    """An organization."""

    id: str
    name: str
    slug: str
    status: str
    time_zone: str
    max_staleness_seconds: int
    version: int
    created_at: datetime
    updated_at: datetime


class NewOrganizationBody(Body):
    """A new organization; the caller becomes its owner."""

    name: Name
    slug: Slug | None = None
    time_zone: ZoneName = "UTC"
    max_staleness_seconds: Staleness = 300


class OrganizationChanges(Body):
    """Fields to change; the others stay."""

    name: Name = UNSET
    slug: Slug = UNSET
    status: Literal["active", "suspended"] = UNSET
    time_zone: ZoneName = UNSET
    max_staleness_seconds: Staleness = UNSET


@router.get("", summary="The organizations you are a member of")
async def index(context: CurrentContext, caller: Caller, page: PageWanted) -> Listing[OrganizationAnswer]:
    """Oldest first."""
    return listing(await list_organizations(context, caller, page), OrganizationAnswer)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Create an organization")
async def create(context: CurrentContext, caller: Caller, body: NewOrganizationBody) -> OrganizationAnswer:
    """Usable at once with the token you have."""
    return OrganizationAnswer.model_validate(await create_organization(context, caller, **body.model_dump()))


@router.get("/{organization_id}", summary="Show an organization")
async def show(context: CurrentContext, caller: Caller, response: Response, organization_id: Identifier) -> OrganizationAnswer:
    """Somebody else's organization is answered like one that does not exist."""
    organization = await show_organization(context, caller, str(organization_id))
    tag(response, organization.version)
    return OrganizationAnswer.model_validate(organization)


@router.patch("/{organization_id}", summary="Change an organization")
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    organization_id: Identifier,
    body: OrganizationChanges,
    expected: ExpectedVersion,
) -> OrganizationAnswer:
    """Suspending an organization closes its keys at the gateways."""
    changes = body.model_dump(exclude_unset=True)
    organization = await update_organization(context, caller, str(organization_id), changes, expected)
    tag(response, organization.version)
    return OrganizationAnswer.model_validate(organization)
