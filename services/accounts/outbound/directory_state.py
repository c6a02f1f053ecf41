"""What the tables remember of the DIRECTORY bucket: which one was filled, and whether filling it again has been asked for."""

import msgspec
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.outbox import CHANNEL
from accounts.outbound.tables import directory_state


class DirectoryState(msgspec.Struct, frozen=True):
    """`generation` counts the complete fillings; `republish_asked` > `republish_done` = somebody waits for one.

    `shape` is the one that the announced records have had since the rows were last raised for it.
    """

    bucket_created: str
    generation: int
    republish_asked: int
    republish_done: int
    shape: int


async def read_state(connection: AsyncConnection) -> DirectoryState:
    """The one row."""
    row = (await connection.execute(select(directory_state))).one()
    return DirectoryState(row.bucket_created, row.generation, row.republish_asked, row.republish_done, row.shape)


async def ask_republish(connection: AsyncConnection) -> int:
    """Ask the relay to fill the bucket again, at the commit; the number to wait for in `republish_done`."""
    asked = await connection.execute(
        update(directory_state)
        .values(republish_asked=directory_state.c.republish_asked + 1)
        .returning(directory_state.c.republish_asked)
    )
    await connection.execute(text(f"NOTIFY {CHANNEL}"))
    number: int = asked.scalar_one()
    return number


async def note_shape(connection: AsyncConnection, shape: int) -> None:
    """Remember that all rows have versions that no record of another shape has."""
    await connection.execute(update(directory_state).values(shape=shape))


async def next_generation(connection: AsyncConnection, used: int) -> int:
    """A generation number that nobody has used: above ours, and above the bucket's, should our table be a restored one."""
    generation = func.greatest(directory_state.c.generation, used) + 1
    found = await connection.execute(
        update(directory_state).values(generation=generation).returning(directory_state.c.generation)
    )
    number: int = found.scalar_one()
    return number


async def note_filled(connection: AsyncConnection, bucket_created: str, republish_asked: int) -> None:
    """Remember that this bucket is complete, and which asking that answers."""
    await connection.execute(
        update(directory_state).values(
            bucket_created=bucket_created,
            republish_done=func.greatest(directory_state.c.republish_done, republish_asked),
            published_at=func.now(),
        )
    )
