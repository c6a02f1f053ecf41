"""Take up a sign-in again that comes back from its provider."""

import hmac
from datetime import UTC, datetime

from accounts.domain.opaque_tokens import digest_of
from accounts.outbound.oidc_flows import Flow, take_flow
from accounts.use_cases.context import Context
from common.problems import Unauthenticated


async def take_oidc_flow(context: Context, provider: str, *, state: str, browser: str) -> Flow:
    """The sign-in that this browser began; it can be taken once, whatever becomes of it. Raises Unauthenticated for any other,
    or the sign-in of somebody else could be slipped to a person.
    """
    async with context.engine.begin() as connection:
        flow = await take_flow(connection, digest_of(state), provider)
    alive = flow is not None and flow.expires_at > datetime.now(UTC)
    if flow is None or not alive or not hmac.compare_digest(flow.browser_digest, digest_of(browser)):
        raise Unauthenticated("This sign-in has ended, or another browser began it; begin again.")
    return flow
