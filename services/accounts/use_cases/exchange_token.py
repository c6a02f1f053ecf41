"""Exchange a long-lived token for a short-lived access token, which services verify without asking anybody."""

from dataclasses import dataclass

from accounts.domain.opaque_tokens import kind_of
from accounts.domain.principal import Origin
from accounts.outbound.audit import note
from accounts.outbound.members import roles_of
from accounts.outbound.service_accounts import service_account_roles
from accounts.use_cases.context import Context
from accounts.use_cases.identify_bearer import identify_bearer
from common.contracts.access_tokens import Identity
from common.problems import Unauthenticated


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token, and its lifetime in seconds."""

    access_token: str
    expires_in: int


async def exchange_token(context: Context, token: str, origin: Origin) -> AccessToken:
    """With the roles of this moment and the scopes of the long-lived token. Raises Unauthenticated whatever is wrong with it.

    What is signed here is no longer taken for another exchange: whoever steals it has minutes.
    """
    caller = await identify_bearer(context, token, origin) if kind_of(token) in ("personal", "service_account") else None
    if caller is None:
        raise Unauthenticated("Give a valid personal token, or one of a service account.")
    person = caller.kind == "user"
    async with context.engine.begin() as connection:
        roles = await (roles_of if person else service_account_roles)(connection, caller.subject)
        organization_id = None if person else next(iter(roles), None)
        await note(connection, caller, "auth.token_exchanged", caller.token_id, organization_id=organization_id)
    identity = Identity(
        user_id=caller.subject,
        roles=roles,
        kind="user" if person else "service_account",
        scopes=None if caller.scopes is None else tuple(sorted(caller.scopes)),
        session_id=caller.token_id,
    )
    return AccessToken(context.signer.sign(identity), context.signer.lifetime_seconds)
