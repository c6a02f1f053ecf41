"""Service accounts and their tokens over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response, status
from pydantic import Field

from accounts.domain.objects import ServiceAccount
from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.limits import LimitsAnswer, LimitsBody
from accounts.inbound.long_lived_tokens import IssuedTokenAnswer, NewTokenBody, TokenAnswer
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import UNSET, Answer, Body, EffectiveAnswer, Identifier, Listing, Name, PageWanted, Text, listing
from accounts.use_cases.close_service_account import close_service_account
from accounts.use_cases.confirm_change import ISSUED_SECONDS, REVOKED_SECONDS, confirm_change
from accounts.use_cases.create_service_account import create_service_account
from accounts.use_cases.issue_long_lived_token import issue_service_account_token
from accounts.use_cases.list_long_lived_tokens import list_service_account_tokens
from accounts.use_cases.list_service_accounts import list_service_accounts
from accounts.use_cases.revoke_long_lived_token import revoke_service_account_token
from accounts.use_cases.show_service_account import show_service_account
from accounts.use_cases.update_service_account import FIELD_PERMISSIONS, update_service_account

router = APIRouter(prefix="/api/v1/organizations/{organization_id}/service-accounts", tags=["service accounts"])
READ, MANAGE = {"x-permission": "service_accounts.read"}, {"x-permission": "service_accounts.manage"}

AccountStatus = Literal["active", "suspended", "ended"]
AccountRole = Annotated[
    Literal["admin", "developer", "billing", "viewer"], Field(description="At most one whose permissions you have; never owner")
]
AccountName = Annotated[Name, Field(examples=["Deployment"])]
AccountLimits = Annotated[LimitsBody, Field(description="Over all keys that it owns. Needs the permission limits.manage")]


class NewServiceAccountBody(Body):
    """A new service account."""

    name: AccountName
    role: AccountRole
    limits: AccountLimits = LimitsBody()


class ServiceAccountChanges(Body):
    """Fields to change; the others stay."""

    name: AccountName = UNSET
    role: AccountRole = UNSET
    status: Annotated[
        Literal["active", "suspended"],
        Field(description="`suspended` refuses its tokens and closes its keys until it is `active` again"),
    ] = UNSET
    limits: AccountLimits = UNSET


class ServiceAccountAnswer(Answer):
    """A caller with a role in one organization that is no person, and may own keys."""

    id: str
    organization_id: str
    name: str
    role: Literal["admin", "developer", "billing", "viewer"]
    status: AccountStatus = Field(description="`ended`: was closed, for ever")
    limits: LimitsAnswer = Field(description="Over all keys that it owns")
    created_by: str
    version: int
    created_at: datetime
    updated_at: datetime


class ChangedServiceAccountAnswer(ServiceAccountAnswer):
    """A service account after a change."""

    effective: EffectiveAnswer


@router.get("", summary="The service accounts of an organization", openapi_extra=READ)
async def index(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    page: PageWanted,
    status: Annotated[
        AccountStatus | None, Query(description="Only those with this status; without it all but those that were closed")
    ] = None,
    name: Annotated[Text | None, Query(max_length=200, description="Only the one of this name")] = None,
) -> Listing[ServiceAccountAnswer]:
    """Oldest first."""
    return listing(await list_service_accounts(context, caller, str(organization_id), page, status, name), ServiceAccountAnswer)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Create a service account", openapi_extra=MANAGE)
async def create(
    context: CurrentContext, caller: Caller, response: Response, organization_id: Identifier, body: NewServiceAccountBody
) -> ServiceAccountAnswer:
    """Its name is unique among those that are not closed. Give it a token to sign in with."""
    limits = body.limits.model_dump(exclude_unset=True)
    account = await create_service_account(context, caller, str(organization_id), name=body.name, role=body.role, limits=limits)
    tag(response, account.version)
    return ServiceAccountAnswer.model_validate(account)


@router.get("/{service_account_id}", summary="Show a service account", openapi_extra=READ)
async def show(
    context: CurrentContext, caller: Caller, response: Response, organization_id: Identifier, service_account_id: Identifier
) -> ServiceAccountAnswer:
    """Also one that was closed."""
    account = await show_service_account(context, caller, str(organization_id), str(service_account_id))
    tag(response, account.version)
    return ServiceAccountAnswer.model_validate(account)


@router.patch(
    "/{service_account_id}",
    summary="Change a service account",
    openapi_extra=MANAGE | {"x-permission-by-field": FIELD_PERMISSIONS},
)
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    organization_id: Identifier,
    service_account_id: Identifier,
    body: ServiceAccountChanges,
    expected: ExpectedVersion,
) -> ChangedServiceAccountAnswer:
    """Limits alone need limits.manage instead."""
    changes = body.model_dump(exclude_unset=True)
    account = await update_service_account(context, caller, str(organization_id), str(service_account_id), changes, expected)
    tag(response, account.version)
    return await _changed(context, account, REVOKED_SECONDS if "status" in changes else ISSUED_SECONDS)


@router.delete("/{service_account_id}", summary="Close a service account", openapi_extra=MANAGE)
async def close(
    context: CurrentContext, caller: Caller, organization_id: Identifier, service_account_id: Identifier
) -> ChangedServiceAccountAnswer:
    """For ever, with its tokens and keys. `effective` says on how many gateways its keys are refused by now; repeating is
    harmless.
    """
    account = await close_service_account(context, caller, str(organization_id), str(service_account_id))
    return await _changed(context, account, REVOKED_SECONDS)


@router.get("/{service_account_id}/tokens", summary="The tokens of a service account", openapi_extra=READ)
async def tokens(
    context: CurrentContext, caller: Caller, organization_id: Identifier, service_account_id: Identifier, page: PageWanted
) -> Listing[TokenAnswer]:
    """Oldest first, expired ones included, without those that were revoked."""
    page_of_tokens = await list_service_account_tokens(context, caller, str(organization_id), str(service_account_id), page)
    return listing(page_of_tokens, TokenAnswer)


@router.post(
    "/{service_account_id}/tokens",
    status_code=status.HTTP_201_CREATED,
    summary="Create a token of a service account",
    openapi_extra=MANAGE,
)
async def create_token(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    service_account_id: Identifier,
    body: NewTokenBody,
) -> IssuedTokenAnswer:
    """A bearer token for the management APIs, with the account's role. You need all permissions of that role."""
    token, plaintext = await issue_service_account_token(
        context, caller, str(organization_id), str(service_account_id), body.wanted()
    )
    return IssuedTokenAnswer(token=plaintext, **TokenAnswer.model_validate(token).model_dump())


@router.delete(
    "/{service_account_id}/tokens/{token_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke a token of a service account",
    openapi_extra=MANAGE,
)
async def revoke_token(
    context: CurrentContext, caller: Caller, organization_id: Identifier, service_account_id: Identifier, token_id: Identifier
) -> None:
    """For ever; refused from the next request on."""
    await revoke_service_account_token(context, caller, str(organization_id), str(service_account_id), str(token_id))


async def _changed(context: CurrentContext, account: ServiceAccount, within_seconds: float) -> ChangedServiceAccountAnswer:
    effective = await confirm_change(context, account.record(), within_seconds)
    plain = ServiceAccountAnswer.model_validate(account).model_dump()
    return ChangedServiceAccountAnswer(effective=EffectiveAnswer.model_validate(effective), **plain)
