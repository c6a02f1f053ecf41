"""Last use: accounts hears which keys have been used, each once for each minute."""

import time

from common.contracts.events import KeyActivity
from common.contracts.identifiers import uuid7
from tests.integration.usage.conftest import UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide, make_event

MINUTE_MS = 60_000
THEN = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS - 10 * MINUTE_MS


def minutes_of(heard: list[KeyActivity], key_id: str) -> list[int]:
    return [minute for activity in heard for key, minute in activity.keys if key == key_id]


async def test_a_used_key_is_said_once_for_a_minute(usage: UsageProcess, gateway: GatewaySide) -> None:
    """The beginning of the latest minute; not again for requests of that minute or an earlier one, but for a later one."""
    project, boot, key, other = uuid7(), uuid7(), uuid7(), uuid7()
    heard = await gateway.hear_key_activity()
    times = [THEN + 59_000, THEN - 5 * MINUTE_MS, THEN + 1_000]
    await gateway.ship([make_event(project, boot, key_id=key, admitted_at=at) for at in times], boot=boot, first=1)
    await eventually(lambda: minutes_of(heard, key) == [THEN])
    again = [make_event(project, boot, key_id=key, admitted_at=THEN + 30_000), make_event(project, boot, key_id=other)]
    await gateway.ship(again, boot=boot, first=4)
    await eventually(lambda: minutes_of(heard, other))
    assert minutes_of(heard, key) == [THEN]
    await gateway.ship([make_event(project, boot, key_id=key, admitted_at=THEN + MINUTE_MS)], boot=boot, first=6)
    await eventually(lambda: minutes_of(heard, key) == [THEN, THEN + MINUTE_MS])


async def test_a_clock_that_runs_ahead_hides_no_later_use(usage: UsageProcess, gateway: GatewaySide) -> None:
    """A moment of the future is said as the present."""
    project, boot, key = uuid7(), uuid7(), uuid7()
    heard = await gateway.hear_key_activity()
    ahead = time.time_ns() // 1_000_000 + 86_400_000
    await gateway.ship([make_event(project, boot, key_id=key, admitted_at=ahead)], boot=boot, first=1)
    await eventually(lambda: minutes_of(heard, key))
    assert minutes_of(heard, key)[0] <= time.time_ns() // 1_000_000


async def test_more_keys_than_one_message_holds(usage: UsageProcess, gateway: GatewaySide) -> None:
    """All are said, in messages that the bus takes."""
    project, boot, keys = uuid7(), uuid7(), {uuid7() for _ in range(1_200)}
    heard = await gateway.hear_key_activity()
    events = [make_event(project, boot, key_id=key, admitted_at=THEN) for key in keys]
    for start in range(0, 1_200, 300):
        await gateway.ship(events[start : start + 300], boot=boot, first=start + 1)
    await eventually(lambda: {key for activity in heard for key, _ in activity.keys} == keys)
