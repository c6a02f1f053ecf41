"""Remind the owners of keys that end soon, and announce the deadlines of those that have to be rotated."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from accounts.domain.objects import Key
from accounts.domain.principal import SYSTEM
from accounts.domain.reminders import HORIZON, Reminder, reminders
from accounts.domain.rotation import scheduled, stops_at
from accounts.outbound.audit import note
from accounts.outbound.ending_keys import addresses_of, ending_keys
from accounts.outbound.keys import change_key, find_key, written
from accounts.outbound.notices import say
from accounts.outbound.outbox import announce
from accounts.use_cases.context import Context

INTERVAL_SECONDS = 600.0
CHUNK = 500
LOWEST_ID = "00000000-0000-0000-0000-000000000000"
SUBJECT = "API keys of yours that end soon"

log = logging.getLogger(__name__)


async def keep_reminding(context: Context) -> None:
    """At once and then every ten minutes, until cancelled; on one replica, though it would be no harm on several."""
    while True:
        try:
            said = await remind_owners(context, datetime.now(UTC))
            log.info("reminders: said", extra={"notices": said})
        except (SQLAlchemyError, OSError) as away:
            log.warning("reminders: not said, again later: %s", type(away).__name__)
        await asyncio.sleep(INTERVAL_SECONDS)


async def remind_owners(context: Context, now: datetime) -> int:
    """How many notices were new at that moment. Mail goes out after their commit, at most once: the list has what a mail has not."""
    last, count = LOWEST_ID, 0
    while True:
        async with context.engine.begin() as connection:
            keys = await ending_keys(connection, last, CHUNK, now, HORIZON)
            new = await say(connection, [reminder for key in keys for reminder in reminders(key, now)])
        for key in keys:
            await _enforce(context, key, now)
        await _mail(context, new)
        count += len(new)
        if len(keys) < CHUNK:
            return count
        last = keys[-1].id


async def _enforce(context: Context, seen: Key, now: datetime) -> None:
    """Announce the deadline of a key that is nearly due, so that the gateways keep it by their own clocks."""
    if scheduled(seen, now).secrets[0] == seen.secrets[0]:
        return
    async with context.engine.begin() as connection:
        before = await find_key(connection, seen.project_id, seen.id, locked=True)
        if before is None or before.status == "revoked" or before.version != seen.version:
            return  # changed meanwhile: the next round sees it as it is then
        key = await change_key(connection, seen.id, secrets=written(scheduled(before, now).secrets))
        await announce(connection, key.record())
        await note(
            connection,
            SYSTEM,
            "key.updated",
            key.id,
            organization_id=key.organization_id,
            before={"stops_working_at": None},
            after={"stops_working_at": stops_at(key)},
        )


async def _mail(context: Context, said: Sequence[Reminder]) -> None:
    if not said or not context.mail.configured:
        return
    mine: dict[tuple[str, str], list[Reminder]] = defaultdict(list)
    for reminder in said:
        if reminder.key.owner_kind == "member" and reminder.key.owner_id:
            mine[reminder.key.organization_id, reminder.key.owner_id].append(reminder)
    async with context.engine.begin() as connection:
        addresses = await addresses_of(connection, list(mine))
    for owner, address in addresses.items():
        await context.mail.send(address, SUBJECT, _text(mine[owner]))


def _text(about: Sequence[Reminder]) -> str:
    lines = "\n".join(f"- {_line(reminder)}" for reminder in about)
    return f"Hello,\n\nthese API keys of yours need you:\n\n{lines}\n\nA key that has stopped works again once it is rotated.\n"


def _line(reminder: Reminder) -> str:
    name, at = f"{reminder.key.name} ({reminder.key.hint})", f"{reminder.at:%Y-%m-%d %H:%M} UTC"
    if reminder.kind == "key_expires":
        return f"{name} expires on {at}."
    stops = stops_at(reminder.key) or reminder.at
    return f"{name} is to be rotated by {at}, and stops working on {stops:%Y-%m-%d %H:%M} UTC if it is not."
