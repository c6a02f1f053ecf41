"""Create a user. There is no sign-up: operators do this, or somebody accepts an invitation."""

from sqlalchemy.exc import IntegrityError

from accounts.domain.principal import Principal
from accounts.domain.users import User
from accounts.outbound.audit import note
from accounts.outbound.users import add_user, nobody_is_there
from accounts.use_cases.authorize_caller import authorize_operator
from accounts.use_cases.change_password import require_acceptable
from accounts.use_cases.context import Context
from common.contracts.identifiers import uuid7
from common.problems import Conflict


async def create_user(
    context: Context, caller: Principal, *, email: str, password: str | None, name: str = "", operator: bool = False
) -> User:
    """The new user; without a password they set one by a link, or sign in by an identity provider.

    The first user of an installation, made by the system itself, runs it. Raises Forbidden, Invalid, and Conflict when the email
    is taken, whatever its case.
    """
    if password is not None:
        require_acceptable(password, email)
    async with context.engine.begin() as connection:
        await authorize_operator(connection, caller)
    hashed = None if password is None else await context.passwords.hash(password)
    try:
        async with context.engine.begin() as connection:
            await authorize_operator(connection, caller)
            first = caller.kind == "system" and await nobody_is_there(connection)
            user = await add_user(connection, uuid7(), email, hashed, name, operator=operator or first)
            await note(connection, caller, "user.created", user.id, after=user)
    except IntegrityError:
        raise Conflict("There is a user with this email.", field="email") from None
    return user
