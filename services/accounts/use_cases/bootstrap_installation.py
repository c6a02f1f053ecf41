"""Make the first user of an empty installation, who runs it and owns its first organization."""

import hmac
import time

from sqlalchemy.exc import IntegrityError

from accounts.domain.objects import Organization
from accounts.domain.principal import Origin, Principal
from accounts.domain.users import User
from accounts.outbound.audit import note
from accounts.outbound.users import add_user, nobody_is_there
from accounts.use_cases.authorize_caller import missing
from accounts.use_cases.change_password import require_acceptable
from accounts.use_cases.context import Context
from accounts.use_cases.create_organization import NewOrganization, found_organization
from common.contracts.identifiers import uuid7
from common.problems import Conflict, TooManyRequests, Unauthenticated


async def bootstrap_installation(
    context: Context, origin: Origin, *, setup_token: str, email: str, password: str, name: str, organization: str
) -> tuple[User, Organization]:
    """Once and for all: however many try at the same time, one of them is the first.

    Raises NotFound (no setup token is configured), Unauthenticated (it is another), Invalid, Conflict (somebody is there).
    """
    if context.setup_token is None:
        raise missing()
    wait = context.logins.attempt(f"bootstrap {origin.address}", time.monotonic())
    if wait:
        raise TooManyRequests("Too many attempts; wait a little.", retry_after_seconds=int(wait) + 1)
    if not hmac.compare_digest(setup_token.encode(), context.setup_token.encode()):
        raise Unauthenticated("The setup token is wrong.")
    require_acceptable(password, email)
    hashed = await context.passwords.hash(password)
    try:
        async with context.engine.begin() as connection:
            if not await nobody_is_there(connection):
                raise _somebody_is_there()
            user = await add_user(connection, uuid7(), email, hashed, name, operator=True)
            caller = Principal(kind="user", id=user.id, name=user.email, operator=True, origin=origin)
            await note(connection, caller, "user.created", user.id, after=user)
            return user, await found_organization(connection, caller, NewOrganization(name=organization))
    except IntegrityError:
        raise _somebody_is_there() from None


def _somebody_is_there() -> Conflict:
    return Conflict("This installation has users already; sign in.")
