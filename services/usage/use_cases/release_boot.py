"""Give back the grants of a gateway boot that is dead for ever."""

from usage.outbound import boots_store
from usage.outbound.boots_store import Unspent
from usage.outbound.database import Database

SILENT_SECONDS = 600.0
"""A boot that was heard of since then may live: released, it would spend what others are granted until its next ask is answered."""


class NotReleased(Exception):
    """The boot stays as it is; the message says why, to an operator."""


async def release_boot(database: Database, boot: str, *, force: bool) -> list[Unspent]:
    """What goes back, by scope and period; the same money in each scope that it counted against. Raises NotReleased.

    What the boot still reports is booked all the same.
    """
    async with database.transaction() as connection:
        silent = await boots_store.silent_for(connection, boot)
        if silent is None:
            raise NotReleased("that boot is unknown, or closed already")
        if silent < SILENT_SECONDS and not force:
            raise NotReleased(
                f"that boot was heard of {silent:.0f} seconds ago and may still spend; once you have made sure that it is gone, add --force"
            )
        return await boots_store.release(connection, boot)
