"""Which user a provider's subject is, in SQL."""

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.oidc import Person
from accounts.outbound.tables import oidc_identities, users


class SignedInUser(msgspec.Struct, frozen=True):
    """The user behind a person."""

    id: str
    email: str
    status: str


_user = select(users.c.id, users.c.email, users.c.status)


async def find_identified(connection: AsyncConnection, issuer: str, subject: str) -> SignedInUser | None:
    """The user that this subject of this issuer is."""
    found = await connection.execute(
        _user.join(oidc_identities, oidc_identities.c.user_id == users.c.id).where(
            oidc_identities.c.issuer == issuer, oidc_identities.c.subject == subject
        )
    )
    row = found.one_or_none()
    return None if row is None else SignedInUser(row.id, row.email, row.status)


async def find_addressed(connection: AsyncConnection, email: str) -> SignedInUser | None:
    """The user with this email, whatever its case; locked, so that only one person at a time can become it."""
    found = await connection.execute(_user.where(func.lower(users.c.email) == func.lower(email)).with_for_update())
    row = found.one_or_none()
    return None if row is None else SignedInUser(row.id, row.email, row.status)


async def has_identity(connection: AsyncConnection, issuer: str, user_id: str) -> bool:
    """Whether the user is already some subject of the issuer."""
    found = await connection.execute(
        select(oidc_identities.c.subject).where(oidc_identities.c.issuer == issuer, oidc_identities.c.user_id == user_id).limit(1)
    )
    return found.first() is not None


async def add_passwordless_user(connection: AsyncConnection, user_id: str, email: str, name: str) -> SignedInUser:
    """Insert a user who signs in by a provider alone; raises IntegrityError when the email is taken."""
    await connection.execute(insert(users).values(id=user_id, email=email, name=name))
    return SignedInUser(user_id, email, "active")


async def add_identity(connection: AsyncConnection, person: Person, user_id: str) -> None:
    """From now on this subject is that user; raises IntegrityError when it is one already."""
    await connection.execute(
        insert(oidc_identities).values(
            issuer=person.issuer, subject=person.subject, user_id=user_id, email=person.email or "", last_at=func.now()
        )
    )


async def note_identity_seen(connection: AsyncConnection, person: Person) -> None:
    """When the person was here last, and with which address."""
    await connection.execute(
        update(oidc_identities)
        .where(oidc_identities.c.issuer == person.issuer, oidc_identities.c.subject == person.subject)
        .values(email=person.email or "", last_at=func.now())
    )
