"""Who is calling: the context of the application and the principal behind the bearer token."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from accounts.domain.principal import Principal
from accounts.use_cases.context import Context
from common.problems import Unauthenticated

bearer = HTTPBearer(auto_error=False, description="An access token of POST /api/v1/auth/login, or a long-lived token")
"""Documents the scheme; inbound/door.py has checked the token before any route runs."""


async def context_of(request: Request) -> Context:
    """The long-lived parts, from the lifespan's state."""
    context: Context = request.state.context
    return context


async def anybody(request: Request) -> Principal:
    """The caller of a public route: known or not."""
    caller: Principal = request.state.caller
    return caller


async def identified(request: Request, _: Annotated[object, Depends(bearer)]) -> Principal:
    """The caller; raises Unauthenticated when the door let somebody pass without a token."""
    caller: Principal = request.state.caller
    if caller.kind == "anonymous":
        raise Unauthenticated("Give a valid access token.")
    return caller


CurrentContext = Annotated[Context, Depends(context_of)]
Caller = Annotated[Principal, Depends(identified)]
Anybody = Annotated[Principal, Depends(anybody)]
