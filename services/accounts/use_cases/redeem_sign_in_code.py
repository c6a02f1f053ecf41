"""Redeem the code of a finished sign-in for its tokens."""

import hmac
from datetime import UTC, datetime

from accounts.domain.oidc import challenge_of
from accounts.domain.opaque_tokens import digest_of
from accounts.domain.principal import Origin
from accounts.domain.sessions import Tokens
from accounts.outbound.metrics import LOGINS
from accounts.outbound.oidc_flows import take_code
from accounts.outbound.users import is_active
from accounts.use_cases.context import Context
from accounts.use_cases.open_session import open_session
from common.problems import Unauthenticated


async def redeem_sign_in_code(context: Context, origin: Origin, *, code: str, verifier: str) -> Tokens:
    """The session. The code is spent by the first try, right or wrong. Raises Unauthenticated."""
    async with context.engine.begin() as connection:
        taken = await take_code(connection, digest_of(code))
    fresh = taken is not None and taken.expires_at > datetime.now(UTC)
    if taken is None or not fresh or not hmac.compare_digest(taken.code_challenge, challenge_of(verifier)):
        raise Unauthenticated("The code is not valid; begin the sign-in again.")
    async with context.engine.begin() as connection:
        if not await is_active(connection, taken.user_id):
            raise Unauthenticated("The code is not valid; begin the sign-in again.")
        LOGINS.labels("ok").inc()
        return await open_session(context, connection, taken.user_id, method="oidc", origin=origin)
