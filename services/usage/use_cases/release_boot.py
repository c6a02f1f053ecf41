"""Give back the grants of a gateway boot that is dead for ever."""

from common.contracts.grants import LONGEST_CONTACT_SECONDS
from usage.outbound import boots_store
from usage.outbound.boots_store import Unspent
from usage.outbound.database import Database
from usage.outbound.present_boots import NotHeard, PresentBoots

SILENT_SECONDS = LONGEST_CONTACT_SECONDS + 900.0
"""A boot that was heard of since then may live: released, it would spend what others are granted until its next ask is answered. One that
was not lets nothing in any more, and what it had let in has ended, where an upstream's answer takes less than the second part of it.
"""

MADE_SURE = "once you have made sure that it is gone, add --force"


class NotReleased(Exception):
    """The boot stays as it is; the message says why, to an operator."""


async def release_boot(database: Database, present: PresentBoots, boot: str, *, force: bool) -> list[Unspent]:
    """What goes back, by scope and period; the same money in each scope that it counted against. Raises NotReleased.

    What the boot still reports is booked all the same.
    """
    if not force:
        await _refuse_present(present, boot)
    async with database.transaction() as connection:
        silent = await boots_store.silent_for(connection, boot)
        if silent is None:
            raise NotReleased("that boot is unknown, or closed already")
        if silent < SILENT_SECONDS and not force:
            raise NotReleased(f"that boot was heard of {silent:.0f} seconds ago and may still spend; {MADE_SURE}")
        return await boots_store.release(connection, boot)


async def _refuse_present(present: PresentBoots, boot: str) -> None:
    """Whatever the books say: a gateway may live for long without asking for anything that is written there."""
    try:
        lives = await present.says_it_lives(boot)
    except NotHeard:
        raise NotReleased(f"NATS is away, so that boot cannot be heard if it lives; {MADE_SURE}") from None
    if lives:
        raise NotReleased("that boot says that it lives; stop its gateway, which gives everything back, or add --force")
