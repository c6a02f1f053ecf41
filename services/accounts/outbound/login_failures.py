"""Failed sign-ins in SQL, by a digest of the email: what people type is not kept."""

import hashlib
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.lock_out import Tally
from accounts.outbound.tables import login_failures

EVERYWHERE = "*"


class Tallies(msgspec.Struct, frozen=True):
    """The failures for one email from one address and from all, by the database's clock."""

    email_digest: str
    address: str
    here: Tally
    everywhere: Tally
    now: datetime


def digest_of_email(email: str) -> str:
    """The same whatever its case."""
    return hashlib.sha256(email.lower().encode()).hexdigest()


async def lock_tallies(connection: AsyncConnection, email: str, address: str) -> Tallies:
    """The counts, which nobody else can change until the end of the transaction."""
    digest = digest_of_email(email)
    blank = {"failures": 0, "since": func.now(), "last_at": func.now()}
    blanks = [{"email_digest": digest, "address": place, **blank} for place in (EVERYWHERE, address)]
    await connection.execute(insert(login_failures).values(blanks).on_conflict_do_nothing())
    found = await connection.execute(
        select(
            login_failures.c.address,
            login_failures.c.failures,
            login_failures.c.since,
            login_failures.c.last_at,
            func.now().label("now"),
        )
        .where(login_failures.c.email_digest == digest, login_failures.c.address.in_([EVERYWHERE, address]))
        .order_by(login_failures.c.address)
        .with_for_update()
    )
    rows = found.all()
    counted = {row.address: Tally(row.failures, row.since, row.last_at) for row in rows}
    return Tallies(digest, address, counted[address], counted[EVERYWHERE], rows[0].now)


async def save_tallies(connection: AsyncConnection, tallies: Tallies) -> None:
    """Write both counts."""
    for place, tally in ((EVERYWHERE, tallies.everywhere), (tallies.address, tallies.here)):
        await connection.execute(
            update(login_failures)
            .where(login_failures.c.email_digest == tallies.email_digest, login_failures.c.address == place)
            .values(failures=tally.failures, since=tally.since, last_at=tally.last_at)
        )


async def forgive(connection: AsyncConnection, email: str, address: str) -> None:
    """It was the user: nothing is held against this address, and one attempt less against all."""
    digest = digest_of_email(email)
    await connection.execute(
        update(login_failures)
        .where(login_failures.c.email_digest == digest, login_failures.c.address == EVERYWHERE)
        .values(failures=func.greatest(login_failures.c.failures - 1, 0))
    )
    await connection.execute(
        delete(login_failures).where(login_failures.c.email_digest == digest, login_failures.c.address == address)
    )


async def forget_failures(connection: AsyncConnection, older_than: timedelta) -> int:
    """Delete counts that have not changed for so long; how many there were."""
    return (await connection.execute(delete(login_failures).where(login_failures.c.last_at < func.now() - older_than))).rowcount
