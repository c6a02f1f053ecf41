"""Begin a sign-in at an identity provider."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from accounts.domain.oidc import may_return_to
from accounts.domain.opaque_tokens import digest_of
from accounts.domain.principal import Origin
from accounts.outbound.identity_provider import ProviderAway
from accounts.outbound.oidc_flows import Flow, add_flow, forget_expired
from accounts.use_cases.authorize_caller import missing
from accounts.use_cases.context import Context
from common.problems import Invalid, TooManyRequests, Unavailable

FLOW_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and what it must show when it comes back."""

    address: str
    browser: str


async def begin_oidc_sign_in(
    context: Context, origin: Origin, name: str, *, return_to: str | None = None, code_challenge: str | None = None
) -> Begun:
    """The provider's page. Raises NotFound, Invalid when the sign-in may not return there, TooManyRequests, Unavailable.

    A program that waits at `return_to` proves later by the verifier of its challenge that it is the one that asked.
    """
    provider = context.oidc.get(name)
    if provider is None:
        raise missing()
    _check_return(context.public_url, return_to, code_challenge)
    if wait := context.oidc_starts.attempt(origin.address, time.monotonic()):
        raise TooManyRequests("Too many sign-ins from there; wait a little.", retry_after_seconds=int(wait) + 1)
    state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
    try:
        address = await provider.authorization_url(state=state, nonce=nonce, verifier=verifier)
    except ProviderAway:
        raise Unavailable("The identity provider does not answer; try again.") from None
    now = datetime.now(UTC)
    flow = Flow(
        state_digest=digest_of(state),
        provider=name,
        nonce=nonce,
        code_verifier=verifier,
        browser_digest=digest_of(browser),
        return_to=return_to,
        code_challenge=code_challenge,
        expires_at=now + timedelta(seconds=FLOW_SECONDS),
    )
    async with context.engine.begin() as connection:
        await forget_expired(connection, now)
        await add_flow(connection, flow)
    return Begun(address, browser)


def _check_return(public_url: str, return_to: str | None, code_challenge: str | None) -> None:
    if (return_to is None) != (code_challenge is None):
        raise _invalid("code_challenge", "return_to and code_challenge go together")
    if return_to is not None and not may_return_to(return_to, public_url):
        raise _invalid("return_to", "only this installation's own address, or http://127.0.0.1 with a port")


def _invalid(field: str, message: str) -> Invalid:
    return Invalid("The sign-in cannot begin so.", errors=[{"field": field, "message": message}])
