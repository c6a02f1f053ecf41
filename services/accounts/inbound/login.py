"""Signing in, going on being signed in, and the key set that others verify our tokens with."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from accounts.inbound.caller import Anybody, CurrentContext
from accounts.inbound.wire import Answer, AnyText, Body, Text
from accounts.use_cases.log_in import log_in
from accounts.use_cases.refresh_session import refresh_session
from common.contracts.access_tokens import JWKS_PATH

LOGIN_PATH = "/api/v1/auth/login"
REFRESH_PATH = "/api/v1/auth/refresh"
PUBLIC = {"x-permission": "public"}

router = APIRouter(tags=["sign-in"])


class Login(Body):
    """An email and its password."""

    email: Annotated[Text, Field(min_length=3, max_length=254, examples=["test@codexflow.dev"])]
    password: Annotated[AnyText, Field(min_length=1, max_length=1024, examples=["password"])]


class Refresh(Body):
    """The newest refresh token of a session."""

    refresh_token: Annotated[Text, Field(min_length=1, max_length=200, examples=["cf-ref-…"])]


class SessionAnswer(Answer):
    """The tokens of somebody who has signed in."""

    access_token: str = Field(description="A bearer token for all management APIs")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int = Field(description="Of the access token, in seconds", examples=[900])
    refresh_token: str = Field(description="For one use; its answer has the next one", examples=["cf-ref-…"])
    session_id: str
    session_expires_at: datetime = Field(description="The session ends then, unless it is refreshed before")


class PublicKey(BaseModel):
    """An Ed25519 public key (RFC 8037)."""

    kty: str = Field(examples=["OKP"])
    crv: str = Field(examples=["Ed25519"])
    x: str
    kid: str
    alg: str = Field(examples=["EdDSA"])
    use: str = Field(examples=["sig"])


class KeySet(BaseModel):
    """The public keys that sign access tokens at present."""

    keys: list[PublicKey]


@router.post(LOGIN_PATH, summary="Sign in", openapi_extra=PUBLIC)
async def sign_in(body: Login, context: CurrentContext, caller: Anybody) -> SessionAnswer:
    """The access token carries the roles of the moment; the database decides."""
    return SessionAnswer.model_validate(await log_in(context, email=body.email, password=body.password, origin=caller.origin))


@router.post(REFRESH_PATH, summary="Refresh a session", openapi_extra=PUBLIC)
async def refresh(body: Refresh, context: CurrentContext, caller: Anybody) -> SessionAnswer:
    """A refresh token works once. One that comes a second time is in two hands, so it ends the session: 401, sign in again.
    Of two requests at the same moment one gets 409 and nothing ends.
    """
    return SessionAnswer.model_validate(await refresh_session(context, body.refresh_token, caller.origin))


@router.get(JWKS_PATH, summary="The public keys of access tokens", openapi_extra=PUBLIC)
async def key_set(context: CurrentContext) -> KeySet:
    """A JSON Web Key Set."""
    return KeySet.model_validate(context.signer.key_set)
