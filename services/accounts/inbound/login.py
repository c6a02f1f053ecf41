"""Signing in, and the key set that others verify our tokens with."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.wire import AnyText, Body, Text
from accounts.use_cases.log_in import log_in
from accounts.use_cases.show_identity import show_identity
from common.contracts.access_tokens import IDENTITY_PATH, JWKS_PATH
from common.contracts.roles import Role

LOGIN_PATH = "/api/v1/auth/login"

router = APIRouter(tags=["sign-in"])


class Login(Body):
    """An email and its password."""

    email: Annotated[Text, Field(min_length=3, max_length=254, examples=["test@codexflow.dev"])]
    password: Annotated[AnyText, Field(min_length=1, max_length=1024, examples=["password"])]


class AccessToken(BaseModel):
    """A bearer token for all management APIs."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int = Field(description="Seconds")


class Me(BaseModel):
    """The user behind a token."""

    user_id: str
    roles: dict[str, Role] = Field(description="By organization id, as they are now")


class PublicKey(BaseModel):
    """An Ed25519 public key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str
    use: str


class KeySet(BaseModel):
    """The public keys that sign access tokens at present."""

    keys: list[PublicKey]


@router.post(LOGIN_PATH, summary="Sign in")
async def sign_in(body: Login, request: Request, context: CurrentContext) -> AccessToken:
    """An access token; it carries the roles of the moment, the database decides."""
    address = request.client.host if request.client else ""
    token = await log_in(context, email=body.email, password=body.password, address=address)
    return AccessToken(access_token=token, expires_in=context.signer.lifetime_seconds)


@router.get(IDENTITY_PATH, summary="Who you are")
async def me(context: CurrentContext, caller: Caller) -> Me:
    """Your roles as they are now; the token carries those of its signing."""
    identity = await show_identity(context, caller)
    return Me(user_id=identity.user_id, roles=identity.roles)


@router.get(JWKS_PATH, summary="The public keys of access tokens")
async def key_set(context: CurrentContext) -> KeySet:
    """A JSON Web Key Set."""
    return KeySet.model_validate(context.signer.key_set)
