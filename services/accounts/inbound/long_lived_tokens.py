"""Long-lived tokens over HTTP: the shapes, one's own tokens, and the exchange for short-lived ones."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, status
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import AfterValidator, Field

from accounts.domain.access_tokens import DEFAULT_DAYS, LONGEST_DAYS
from accounts.inbound.caller import Anybody, Caller, CurrentContext, bearer
from accounts.inbound.wire import UNSET, Answer, Body, Identifier, Listing, Moment, Name, PageWanted, Text, listing
from accounts.use_cases.exchange_token import exchange_token
from accounts.use_cases.issue_long_lived_token import NewToken, issue_personal_token
from accounts.use_cases.list_long_lived_tokens import list_personal_tokens
from accounts.use_cases.revoke_long_lived_token import revoke_personal_token
from accounts.use_cases.show_long_lived_token import show_personal_token
from common.contracts.roles import Permission

EXCHANGE_PATH = "/api/v1/auth/token"
SELF, PUBLIC = {"x-permission": "self"}, {"x-permission": "public"}

public_router = APIRouter(tags=["sign-in"])
router = APIRouter(prefix="/api/v1/auth/tokens", tags=["sign-in"])


def _once(scopes: list[Permission]) -> list[Permission]:
    return list(dict.fromkeys(scopes))


TokenScopes = Annotated[
    list[Permission],
    Field(
        min_length=1,
        max_length=100,
        examples=[["keys.read", "keys.issue"]],
        description="Only these of the permissions that its bearer has; null = all of them",
    ),
    AfterValidator(_once),
]


class NewTokenBody(Body):
    """A new long-lived token."""

    name: Annotated[Name, Field(examples=["Deployment"])]
    scopes: TokenScopes | None = None
    expires_at: Annotated[
        Moment, Field(description=f"At most {LONGEST_DAYS} days from now; left out, {DEFAULT_DAYS} days from now")
    ] = UNSET

    def wanted(self) -> NewToken:
        """As the use cases take it."""
        return NewToken(name=self.name, scopes=self.scopes, expires_at=self.expires_at)


class TokenAnswer(Answer):
    """A long-lived token, without its secret."""

    id: str
    name: str
    hint: str = Field(description="What to recognize it by", examples=["cf-pat-a1B2…x9Y0"])
    scopes: list[Permission] | None
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    revoked_at: datetime | None
    created_at: datetime


class IssuedTokenAnswer(TokenAnswer):
    """A new token with its plaintext."""

    token: str = Field(description="Shown this once; only its digest is kept", examples=["cf-pat-…"])


class Exchange(Body):
    """What to exchange, where it is not the bearer token of the request."""

    token: Annotated[Text, Field(min_length=1, max_length=200, examples=["cf-sat-…"])]


class ExchangedAnswer(Answer):
    """A short-lived access token."""

    access_token: str = Field(description="A bearer token for all management APIs")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int = Field(description="In seconds", examples=[900])


@public_router.post(EXCHANGE_PATH, summary="Exchange a long-lived token for an access token", openapi_extra=PUBLIC)
async def exchange(
    context: CurrentContext,
    caller: Anybody,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    body: Exchange | None = None,
) -> ExchangedAnswer:
    """For services that verify access tokens by themselves, the usage reports for one. The long-lived token is the bearer token
    of the request, or its body says it. What you get carries the roles of this moment and the scopes of the long-lived token.
    """
    token = body.token if body is not None else "" if given is None else given.credentials
    return ExchangedAnswer.model_validate(await exchange_token(context, token, caller.origin))


@router.get("", summary="Your personal access tokens", openapi_extra=SELF)
async def index(context: CurrentContext, caller: Caller, page: PageWanted) -> Listing[TokenAnswer]:
    """Oldest first, expired ones included, without those that were revoked."""
    return listing(await list_personal_tokens(context, caller, page), TokenAnswer)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Create a personal access token", openapi_extra=SELF)
async def create(context: CurrentContext, caller: Caller, body: NewTokenBody) -> IssuedTokenAnswer:
    """For scripts that act as you. Needs a sign-in: a long-lived token cannot make another."""
    token, plaintext = await issue_personal_token(context, caller, body.wanted())
    return IssuedTokenAnswer(token=plaintext, **TokenAnswer.model_validate(token).model_dump())


@router.get("/{token_id}", summary="Show a personal access token", openapi_extra=SELF)
async def show(context: CurrentContext, caller: Caller, token_id: Identifier) -> TokenAnswer:
    """Also an expired one, but none that was revoked."""
    return TokenAnswer.model_validate(await show_personal_token(context, caller, str(token_id)))


@router.delete(
    "/{token_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Revoke a personal access token", openapi_extra=SELF
)
async def revoke(context: CurrentContext, caller: Caller, token_id: Identifier) -> None:
    """For ever; refused from the next request on."""
    await revoke_personal_token(context, caller, str(token_id))
