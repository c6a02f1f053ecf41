"""Domains and groups of identity providers over HTTP: who of them belongs to an organization, and in which role."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from pydantic import Field

from accounts.domain.identity_mapping import DOMAIN_PATTERN, LONGEST_DOMAIN, GroupRole, MappedRole
from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.wire import Answer, Body, Identifier, Listing, Slug, Text
from accounts.use_cases.list_domains import list_domains
from accounts.use_cases.list_group_roles import list_group_roles
from accounts.use_cases.map_domain import map_domain
from accounts.use_cases.map_group import map_group
from accounts.use_cases.unmap_domain import unmap_domain
from accounts.use_cases.unmap_group import unmap_group

router = APIRouter(prefix="/api/v1/organizations/{organization_id}", tags=["identity mapping"])

DOMAINS = "/domains/{domain}"
OPERATOR = {"x-permission": "operator"}
Domain = Annotated[
    str, Path(pattern=DOMAIN_PATTERN, max_length=LONGEST_DOMAIN, description="In lower case", examples=["example.com"])
]
GroupName = Annotated[Text, Field(min_length=1, max_length=256, examples=["platform-team"])]


class DomainBody(Body):
    """Who vouches for people of the domain, and what they are."""

    provider: Annotated[Slug, Field(description="One of GET /api/v1/auth/oidc", examples=["company"])]
    default_role: Annotated[
        MappedRole | None,
        Field(description="For people in none of the mapped groups; null = they do not belong to the organization"),
    ] = None


class DomainAnswer(Answer):
    """A domain of an organization."""

    domain: str
    organization_id: str
    provider: str
    default_role: MappedRole | None
    created_at: datetime


class GroupRoleBody(Body):
    """A group of an identity provider and the role of its people."""

    provider: Annotated[Slug, Field(examples=["company"])]
    group: GroupName
    role: Annotated[MappedRole, Field(description="Of several groups of a person the highest counts")]


class GroupRoleAnswer(Answer):
    """A mapped group."""

    organization_id: str
    provider: str
    group: str
    role: MappedRole


@router.get("/domains", summary="The domains of an organization", openapi_extra=OPERATOR)
async def domains(context: CurrentContext, caller: Caller, organization_id: Identifier) -> Listing[DomainAnswer]:
    """By name, on one page."""
    found = await list_domains(context, caller, str(organization_id))
    return Listing(data=[DomainAnswer.model_validate(each) for each in found], next_cursor=None)


@router.put(DOMAINS, summary="Map a domain to an organization", openapi_extra=OPERATOR)
async def put_domain(
    context: CurrentContext, caller: Caller, organization_id: Identifier, domain: Domain, body: DomainBody
) -> DomainAnswer:
    """From their next sign-in through the provider on, people of the domain belong to the organization.

    Existing users with a verified address in the domain can then sign in through the provider: map only what its owner vouches for.
    """
    mapped = await map_domain(context, caller, str(organization_id), domain, **body.model_dump())
    return DomainAnswer.model_validate(mapped)


@router.delete(
    DOMAINS, status_code=status.HTTP_204_NO_CONTENT, summary="Take a domain from an organization", openapi_extra=OPERATOR
)
async def delete_domain(context: CurrentContext, caller: Caller, organization_id: Identifier, domain: Domain) -> None:
    """Nobody new comes by it; members stay until they are removed, and may go on signing in."""
    await unmap_domain(context, caller, str(organization_id), domain)


@router.get("/group-roles", summary="The groups with roles", openapi_extra={"x-permission": "members.read"})
async def group_roles(context: CurrentContext, caller: Caller, organization_id: Identifier) -> Listing[GroupRoleAnswer]:
    """By provider and group, on one page."""
    found = await list_group_roles(context, caller, str(organization_id))
    return Listing(data=[GroupRoleAnswer.model_validate(each) for each in found], next_cursor=None)


@router.put("/group-roles", summary="Give a group a role", openapi_extra={"x-permission": "members.manage"})
async def put_group_role(
    context: CurrentContext, caller: Caller, organization_id: Identifier, body: GroupRoleBody
) -> GroupRoleAnswer:
    """For people of the organization's domains who are in that group, from their next sign-in on. Never a role with permissions
    that you lack. Roles given by hand, and owners, stay as they are.
    """
    mapped = GroupRole(organization_id=str(organization_id), **body.model_dump())
    return GroupRoleAnswer.model_validate(await map_group(context, caller, mapped))


@router.delete(
    "/group-roles",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Take the role from a group",
    openapi_extra={"x-permission": "members.manage"},
)
async def delete_group_role(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    provider: Annotated[Slug, Query()],
    group: Annotated[GroupName, Query()],
) -> None:
    """Its people lose the role at their next sign-in: another group's or the domain's default holds then, or none."""
    await unmap_group(context, caller, str(organization_id), provider=provider, group=group)
