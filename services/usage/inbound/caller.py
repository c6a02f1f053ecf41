"""The bearer of a request: Authorization header → Viewer."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from common.problems import Unauthenticated
from usage.domain.viewer import Viewer

_bearer = HTTPBearer(auto_error=False, description="An access token from accounts (POST /api/v1/auth/login)")

Identify = Callable[[str], Awaitable[Viewer]]


def caller_dependency(identify: Identify) -> Callable[..., Awaitable[Viewer]]:
    """A dependency that identifies the caller or refuses with 401."""

    async def caller(found: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Viewer:
        if found is None:
            raise Unauthenticated("Send an access token as `Authorization: Bearer …`.")
        return await identify(found.credentials)

    return caller
