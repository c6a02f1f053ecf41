"""Signing in by an identity provider (OpenID Connect: authorization code with PKCE)."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Cookie, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import Field

from accounts.domain.oidc import (
    CHALLENGE_PATTERN,
    LONGEST_ADDRESS,
    SIGN_IN_PATH,
    VERIFIER_PATTERN,
    with_query,
)
from accounts.inbound.caller import Anybody, CurrentContext
from accounts.inbound.login import PUBLIC, SessionAnswer
from accounts.inbound.wire import Answer, Body, Listing, Slug, Text
from accounts.use_cases.begin_oidc_sign_in import FLOW_SECONDS, begin_oidc_sign_in
from accounts.use_cases.context import Context
from accounts.use_cases.finish_oidc_sign_in import ProgramMayFetch, ProviderAnswer, finish_oidc_sign_in
from accounts.use_cases.redeem_sign_in_code import redeem_sign_in_code
from accounts.use_cases.take_oidc_flow import take_oidc_flow
from common.problems import Problem

COOKIE = "codexflow_oidc"
PRIVATE_HEADERS = {"cache-control": "no-store", "referrer-policy": "no-referrer"}

router = APIRouter(prefix=SIGN_IN_PATH, tags=["sign-in"])


class ProviderListItem(Answer):
    """An identity provider that one can sign in by."""

    name: str = Field(examples=["company"])
    start: str = Field(
        description="Where a browser begins", examples=["https://codexflow.example.com/api/v1/auth/oidc/company/start"]
    )


class CodeBody(Body):
    """What a program got at its `return_to`, and the verifier of its `code_challenge`."""

    code: Annotated[Text, Field(min_length=1, max_length=200)]
    code_verifier: Annotated[str, Field(pattern=VERIFIER_PATTERN)]


@router.get("", summary="The identity providers to sign in by", openapi_extra=PUBLIC)
async def providers(context: CurrentContext) -> Listing[ProviderListItem]:
    """Those that this installation is configured for, on one page."""
    found = [provider.config for provider in context.oidc.values()]
    items = [ProviderListItem(name=config.name, start=context.public_url + config.sign_in_path) for config in found]
    return Listing(data=items, next_cursor=None)


@router.get("/{provider}/start", summary="Sign in by an identity provider", status_code=302, openapi_extra=PUBLIC)
async def start(
    context: CurrentContext,
    caller: Anybody,
    provider: Slug,
    return_to: Annotated[
        str | None,
        Query(
            max_length=LONGEST_ADDRESS,
            description="Where the browser goes at the end, with `code` or `error` added: an address of this installation, or "
            "http://127.0.0.1:PORT/… where a program listens. Without it the tokens are the callback's answer.",
        ),
    ] = None,
    code_challenge: Annotated[
        str | None, Query(pattern=CHALLENGE_PATTERN, description="S256 (RFC 7636), with `return_to`")
    ] = None,
) -> RedirectResponse:
    """For browsers. The provider sends them back to the callback."""
    begun = await begin_oidc_sign_in(context, caller.origin, provider, return_to=return_to, code_challenge=code_challenge)
    response = RedirectResponse(begun.address, status_code=302, headers=PRIVATE_HEADERS)
    response.set_cookie(
        COOKIE,
        begun.browser,
        max_age=FLOW_SECONDS,
        path=_cookie_path(context),
        httponly=True,
        samesite="lax",
        secure=context.public_url.startswith("https:"),
    )
    return response


@router.get(
    "/{provider}/callback",
    summary="The end of a sign-in by an identity provider",
    openapi_extra=PUBLIC,
    response_model=SessionAnswer,
    responses={302: {"description": "To the program that waits at `return_to`"}},
)
async def callback(
    context: CurrentContext,
    caller: Anybody,
    provider: Slug,
    state: Annotated[str, Query(max_length=200)],
    code: Annotated[str | None, Query(max_length=4096)] = None,
    iss: Annotated[str | None, Query(max_length=LONGEST_ADDRESS)] = None,
    browser: Annotated[str, Cookie(alias=COOKIE, max_length=200)] = "",
) -> Response:
    """Providers send browsers here. The tokens, as from a login; 403 `sign_in_refused` with a `reason` for a person whom the
    provider knows and we do not let in.
    """
    flow = await take_oidc_flow(context, provider, state=state, browser=browser)
    try:
        end = await finish_oidc_sign_in(context, caller.origin, flow, ProviderAnswer(code=code, issuer=iss))
    except Problem as problem:
        if flow.return_to is None:
            raise
        return _go(context, flow.return_to, error=str(problem.members.get("reason", problem.code)))
    if isinstance(end, ProgramMayFetch):
        return _go(context, flow.return_to or "/", code=end.code)
    response = JSONResponse(SessionAnswer.model_validate(end).model_dump(mode="json"), headers=PRIVATE_HEADERS)
    response.delete_cookie(COOKIE, path=_cookie_path(context))
    return response


@router.post("/exchange", summary="Fetch the tokens of a sign-in that a program began", openapi_extra=PUBLIC)
async def exchange(context: CurrentContext, caller: Anybody, body: CodeBody, response: Response) -> SessionAnswer:
    """Once, within a minute, and only by the program that gave the `code_challenge`."""
    opened = await redeem_sign_in_code(context, caller.origin, code=body.code, verifier=body.code_verifier)
    response.headers.update(PRIVATE_HEADERS)
    return SessionAnswer.model_validate(opened)


def _go(context: Context, address: str, **parameters: str) -> RedirectResponse:
    response = RedirectResponse(with_query(address, **parameters), status_code=302, headers=PRIVATE_HEADERS)
    response.delete_cookie(COOKIE, path=_cookie_path(context))
    return response


def _cookie_path(context: Context) -> str:
    return urlsplit(context.public_url).path + SIGN_IN_PATH
