"""Create a user; there is no sign-up, so only the seed does this."""

from sqlalchemy.exc import IntegrityError

from accounts.outbound.users import add_user
from accounts.use_cases.context import Context
from common.contracts.identifiers import uuid7
from common.problems import Conflict


async def create_user(context: Context, *, email: str, password: str) -> str:
    """The new user's id. Raises Conflict when the email is taken, whatever its case."""
    hashed = await context.passwords.hash(password)
    user_id = uuid7()
    try:
        async with context.engine.begin() as connection:
            await add_user(connection, user_id, email, hashed)
    except IntegrityError:
        raise Conflict("There is a user with this email.") from None
    return user_id
