"""Who is calling: the context of the application and the identity behind the bearer token."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity
from common.problems import Unauthenticated

bearer = HTTPBearer(auto_error=False, description="An access token of POST /api/v1/auth/login")
"""Documents the scheme; inbound/door.py has checked the token before any route runs."""


async def context_of(request: Request) -> Context:
    """The long-lived parts, from the lifespan's state."""
    context: Context = request.state.context
    return context


async def identity_of(request: Request, _: Annotated[object, Depends(bearer)]) -> Identity:
    """The caller; raises Unauthenticated when the door let somebody pass without a token."""
    identity = getattr(request.state, "identity", None)
    if not isinstance(identity, Identity):
        raise Unauthenticated("Give a valid access token.")
    return identity


CurrentContext = Annotated[Context, Depends(context_of)]
Caller = Annotated[Identity, Depends(identity_of)]
