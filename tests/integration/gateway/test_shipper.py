"""The shipper against a real bus that is killed, paused, wiped and full."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from common.bus import connection
from common.cancelling import cancel_all
from common.contracts.identifiers import uuid7
from gateway.outbound.event_publisher import EventPublisher
from gateway.outbound.event_spool.spool import TAIL_BYTES, EventSpool
from tests.integration.gateway.usage_side import Boot, UsageSide
from tests.servers.fixtures import Bus
from tests.undisturbed import MachineClock
from tests.unit.gateway.spool_makers import ids_of, make_end, make_start, open_spool

Ship = Callable[[EventSpool], Awaitable[EventPublisher]]

PING_SECONDS = 10.0
STALL_SECONDS = 60.0
FLUSH_SECONDS = 30.0
in_a_hurry = pytest.mark.parametrize("stall_seconds", [0.5])
"""Ships again what usage has been silent about for half a second."""


@asynccontextmanager
async def connected(bus: Bus, service: str, ping_seconds: float = PING_SECONDS) -> AsyncIterator[Client]:
    """A connection as the services have it."""
    client = Client()
    options = connection.options(url=bus.url, service=service, password=bus.passwords[service], name=f"test {service}")
    await client.connect(**options | {"ping_interval": ping_seconds})
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def ping_seconds() -> float:
    """Three times that long a server may be silent; tests whose server is to fall silent want less."""
    return PING_SECONDS


@pytest.fixture
def stall_seconds() -> float:
    """So long that what a slow machine makes usage receive late is not shipped again."""
    return STALL_SECONDS


@pytest.fixture
async def gateway_client(bus: Bus, ping_seconds: float) -> AsyncIterator[Client]:
    """The gateway's connection, with its permissions."""
    async with connected(bus, "gateway", ping_seconds) as client:
        yield client


@pytest.fixture
async def usage(bus: Bus, ping_seconds: float) -> AsyncIterator[UsageSide]:
    """The other side."""
    async with connected(bus, "usage", ping_seconds) as client:
        yield UsageSide(client)


@pytest.fixture
async def ship(gateway_client: Client, stall_seconds: float) -> AsyncIterator[Ship]:
    """Starts a publisher with all its tasks on a spool; stopped at the end."""
    tasks: list[asyncio.Task[None]] = []

    async def start(spool: EventSpool) -> EventPublisher:
        publisher = EventPublisher(gateway_client, spool, stall_seconds=stall_seconds, adopt_seconds=0.2, publish_seconds=0.5)
        runs = (publisher.run, publisher.keep_syncing, publisher.keep_recovering)
        tasks.extend(asyncio.create_task(run()) for run in runs)
        return publisher

    yield start
    await cancel_all(tasks)
    assert all(task.cancelled() for task in tasks)


@pytest.fixture
def spool(tmp_path: Path):
    """A spool with small segments."""
    opened = open_spool(tmp_path / "spool")
    yield opened
    opened.close()


def run_requests(spool: EventSpool, count: int, *, filling: int = 100) -> list[str]:
    """That many requests, start to end."""
    ids = []
    for _ in range(count):
        event_id = uuid7()
        spool.start(make_start(event_id))
        spool.end(make_end(event_id, tags={"filling": "x" * filling}))
        ids.append(event_id)
    return ids


async def eventually(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for it, and fail if it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_ends_travel_in_envelopes(spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """Every end arrives under its number, many to an envelope; nothing is left to ship."""
    publisher = await ship(spool)
    ids = run_requests(spool, 1_050)
    boot = await usage.receive_all(spool.boot, 1_050)
    assert [boot.events[number] for number in range(1, 1_051)] == ids
    assert boot.envelopes < 30
    assert boot.close is None
    await eventually(lambda: not publisher.backlog and not spool.backlog)
    assert publisher.oldest_unshipped_seconds == 0


async def test_long_events_make_small_envelopes(spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """No envelope passes 256 KiB, and an event that is too long loses its texts, not its numbers."""
    await ship(spool)
    run_requests(spool, 12, filling=60_000)
    run_requests(spool, 1, filling=400_000)
    await usage.receive_all(spool.boot, 13)
    assert usage.largest <= 256 * 1024


async def test_a_watermark_deletes_segments(spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """Files stay while usage has not committed them; then they go, but for the one that is written."""
    publisher = await ship(spool)
    run_requests(spool, 1_500, filling=500)
    await usage.receive_all(spool.boot, 1_500)
    await eventually(lambda: not publisher.backlog)  # before it has the bus's word, it does not believe usage either
    before = len(list(spool.folder.path.glob("*.seg")))
    assert before > 4
    await usage.say(spool.boot, 700)
    await eventually(lambda: len(list(spool.folder.path.glob("*.seg"))) < before)
    assert ids_of(spool.folder, 701)
    await usage.say(spool.boot, 1_500)
    await eventually(lambda: len(list(spool.folder.path.glob("*.seg"))) == 1)


async def test_memory_is_bounded_and_files_take_over(spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """What no longer fits into memory while the bus is away is read from the files, in order."""
    count = TAIL_BYTES // 15_000 + 100
    ids = run_requests(spool, count, filling=15_000)
    assert spool.tail(1, 1) is None
    assert spool.tail(count, 1)
    await ship(spool)
    boot = await usage.receive_all(spool.boot, count)
    assert [boot.events[number] for number in range(1, count + 1)] == ids


@in_a_hurry
@pytest.mark.faults
async def test_nothing_is_lost_when_the_bus_is_killed(bus: Bus, spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """kill -9 of the bus while shipping, three times: every number arrives, with one event."""
    publisher = await ship(spool)
    ids: list[str] = []
    for _ in range(3):
        for _ in range(10):
            ids += run_requests(spool, 100)
            await asyncio.sleep(0.01)
        await asyncio.to_thread(bus.server.kill)
        ids += run_requests(spool, 300)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(bus.server.start)
        await usage.receive()
    boot = await usage.receive_all(spool.boot, len(ids))
    assert [boot.events[number] for number in range(1, len(ids) + 1)] == ids
    await eventually(lambda: not publisher.backlog)


# The client library drops the writer of a connection that it gives up without closing it.
@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning")
@in_a_hurry
@pytest.mark.parametrize("ping_seconds", [0.5])
@pytest.mark.faults
async def test_a_silent_bus_does_not_hold_up_the_writer(bus: Bus, spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """The bus is stopped, not gone: appends and the event loop go on as before, and everything arrives afterwards."""
    await ship(spool)
    ids = run_requests(spool, 200)
    await usage.receive_all(spool.boot, 200)
    for _ in range(5):
        longest = await longest_append_while_silent(bus, spool, ids)
        boot = await usage.receive_all(spool.boot, len(ids))
        assert [boot.events[number] for number in range(1, len(ids) + 1)] == ids
        if longest < 1:
            break
    else:  # a disk that is busy may spoil some rounds; a writer that waits for the bus spoils all
        pytest.fail(f"appends took up to {longest:.1f} s in every round")


async def longest_append_while_silent(bus: Bus, spool: EventSpool, ids: list[str]) -> float:
    """Seconds for twenty requests and a turn of the event loop, at most, in four seconds in which the bus stands still."""
    assert bus.server.pid
    os.kill(bus.server.pid, signal.SIGSTOP)
    try:
        longest = 0.0
        deadline = time.monotonic() + 4
        with MachineClock() as clock:
            while time.monotonic() < deadline:
                began = clock.seconds
                ids += run_requests(spool, 20)
                await asyncio.sleep(0.01)
                longest = max(longest, clock.seconds - began)
        return longest
    finally:
        os.kill(bus.server.pid, signal.SIGCONT)


@in_a_hurry
@pytest.mark.faults
async def test_what_the_bus_lost_is_shipped_again(bus: Bus, spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """The stream is emptied before usage has read it: when the watermark stalls, everything behind it is shipped again."""
    publisher = await ship(spool)
    ids = run_requests(spool, 1_000, filling=500)
    await eventually(lambda: not publisher.backlog)
    async with connected(bus, "provisioner") as operator:
        await operator.jetstream().purge_stream("REQUESTS")
    await usage.say(spool.boot, 300)
    usage.boots[spool.boot] = Boot(events=dict(enumerate(ids[:300], 1)))
    boot = await usage.receive_all(spool.boot, 1_000)
    assert [boot.events[number] for number in range(1, 1_001)] == ids
    assert publisher.reships >= 1


@in_a_hurry
async def test_what_the_bus_still_holds_is_not_shipped_again(bus: Bus, spool: EventSpool, ship: Ship) -> None:
    """Usage is down, the bus is not: nothing is repeated, however long the watermark stays away."""
    publisher = await ship(spool)
    run_requests(spool, 300)
    await eventually(lambda: not publisher.backlog)
    await asyncio.sleep(2.5)
    assert publisher.reships == 0
    async with connected(bus, "provisioner") as operator:
        assert (await operator.jetstream().stream_info("REQUESTS")).state.messages <= 5


@pytest.mark.faults
async def test_a_full_stream_is_waited_for(bus: Bus, spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """The stream takes no more: the shipper backs off, and goes on when there is room."""
    async with connected(bus, "provisioner") as operator:
        js = operator.jetstream()
        config = (await js.stream_info("REQUESTS")).config
        config.max_bytes = 150_000
        await js.update_stream(config)
        publisher = await ship(spool)
        ids = run_requests(spool, 600, filling=300)
        await eventually(lambda: publisher.failures > 2)
        assert publisher.backlog
        boot = await usage.receive_all(spool.boot, 600)
    assert [boot.events[number] for number in range(1, 601)] == ids


async def test_a_dead_boot_is_shipped_and_closed(tmp_path: Path, ship: Ship, usage: UsageSide) -> None:
    """Its ends, the aborted ones included, and its close; gone once usage has said that it is closed."""
    dead = open_spool(tmp_path / "spool")
    ids = run_requests(dead, 150)
    dead.start(make_start("dangling"))
    dead.close()
    spool = open_spool(tmp_path / "spool")
    publisher = await ship(spool)
    boot = await usage.receive_all(dead.boot, 151)
    assert [boot.events[number] for number in range(1, 152)] == [*ids, "dangling"]
    assert boot.close == 151
    await eventually(lambda: not publisher.backlog)
    await usage.say(dead.boot, 151)
    await asyncio.sleep(0.4)
    assert dead.folder.path.exists()
    await usage.say(dead.boot, 151, closed=True)
    await eventually(lambda: not dead.folder.path.exists())
    assert publisher.backlog == 0
    spool.close()


@in_a_hurry
async def test_a_lost_close_is_said_again(bus: Bus, tmp_path: Path, ship: Ship, usage: UsageSide) -> None:
    """Grants come back on the close, so it too is repeated until usage has it; alone, in an empty envelope."""
    dead = open_spool(tmp_path / "spool")
    run_requests(dead, 10)
    dead.mark_shipped(10)
    dead.committed(10)
    dead.close()
    spool = open_spool(tmp_path / "spool")
    publisher = await ship(spool)
    await eventually(lambda: dead.boot in publisher._lanes and publisher._lanes[dead.boot].close_said)
    async with connected(bus, "provisioner") as operator:
        await operator.jetstream().purge_stream("REQUESTS")
    await eventually(lambda: publisher.reships > 0)
    await usage.receive_until(lambda: dead.boot in usage.boots)
    assert usage.boots[dead.boot].close == 10
    assert usage.boots[dead.boot].events == {}
    spool.close()


async def test_a_lost_end_travels_as_null(tmp_path: Path, ship: Ship, usage: UsageSide) -> None:
    """A number whose end the disk has lost does not hold up the others, and is not hidden."""
    dead = open_spool(tmp_path / "spool")
    ids = run_requests(dead, 20)
    dead.close()
    segment = next(dead.folder.path.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[data.index(ids[9].encode(), data.index(b'"event_id":"' + ids[9].encode())) + 3] ^= 0x55
    segment.write_bytes(data)
    spool = open_spool(tmp_path / "spool")
    publisher = await ship(spool)
    boot = await usage.receive_all(dead.boot, 21)
    assert boot.events[10] is None
    assert boot.events[21] == ids[9]  # its start is there, so it is booked at its hold
    assert publisher.quarantined == 1
    assert list((tmp_path / "spool" / "quarantine").iterdir())
    spool.close()


async def test_a_clean_stop_closes_the_boot(tmp_path: Path, gateway_client: Client, usage: UsageSide) -> None:
    """flush ships the rest with the close; the next boot finds the same close, and nothing is booked as aborted."""
    spool = open_spool(tmp_path / "spool")
    publisher = EventPublisher(gateway_client, spool)
    ids = run_requests(spool, 120)
    assert await publisher.flush(FLUSH_SECONDS)
    spool.close()
    boot = await usage.receive_all(spool.boot, 120)
    assert boot.close == 120
    again = open_spool(tmp_path / "spool")
    (folder,) = again.recover()
    assert (folder.close, ids_of(folder)) == (120, ids)
    again.close()


async def test_an_unused_boot_is_closed_too(spool: EventSpool, gateway_client: Client, usage: UsageSide) -> None:
    """It may hold grants: its close travels in an empty envelope."""
    assert await EventPublisher(gateway_client, spool).flush(FLUSH_SECONDS)
    await usage.receive_until(lambda: spool.boot in usage.boots)
    assert (usage.boots[spool.boot].close, usage.boots[spool.boot].events) == (0, {})


async def test_a_boot_with_open_requests_is_not_closed(spool: EventSpool, gateway_client: Client, usage: UsageSide) -> None:
    """What is settled travels; the rest is the next boot's."""
    spool.start(make_start("open"))
    run_requests(spool, 5)
    assert await EventPublisher(gateway_client, spool).flush(FLUSH_SECONDS)
    boot = await usage.receive_all(spool.boot, 5)
    assert boot.close is None


@pytest.mark.faults
async def test_a_flush_is_bounded(bus: Bus, spool: EventSpool, gateway_client: Client) -> None:
    """With the bus gone, stopping takes no longer than it may."""
    publisher = EventPublisher(gateway_client, spool)
    run_requests(spool, 50)
    await asyncio.to_thread(bus.server.kill)
    began = time.monotonic()
    assert not await publisher.flush(1)
    assert time.monotonic() - began < FLUSH_SECONDS
    assert publisher.backlog == 50
    await asyncio.to_thread(bus.server.start)


async def test_another_process_s_slot_is_adopted(tmp_path: Path, ship: Ship, usage: UsageSide) -> None:
    """A dead process that does not come back is shipped by another; its slot is free afterwards."""
    first = open_spool(tmp_path / "spool")
    second = open_spool(tmp_path / "spool")
    publisher = await ship(second)
    ids = run_requests(first, 30)
    await usage.receive(until=0.5)
    assert first.boot not in usage.boots
    first.close()
    boot = await usage.receive_all(first.boot, 30)
    assert [boot.events[number] for number in range(1, 31)] == ids
    await eventually(lambda: not publisher.backlog)
    await usage.say(first.boot, 30, closed=True)
    await eventually(lambda: not first.folder.path.exists())
    third = open_spool(tmp_path / "spool")
    assert third.slot == first.slot == "s0"
    third.close()
    second.close()


@in_a_hurry
async def test_what_a_restored_database_has_forgotten_is_shipped_again(spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """Usage says less than before: everything behind that comes again, from the files, and so does what follows."""
    publisher = await ship(spool)
    ids = run_requests(spool, 300)
    await usage.receive_all(spool.boot, 300)
    await eventually(lambda: not publisher.backlog)
    await usage.say(spool.boot, 300)
    await eventually(lambda: spool.folder.committed == 300)
    usage.boots[spool.boot] = Boot(events=dict(enumerate(ids[:40], 1)))
    ids += run_requests(spool, 10)
    await usage.say(spool.boot, 40)
    boot = await usage.receive_all(spool.boot, 310)
    assert [boot.events[number] for number in range(1, 311)] == ids
    await eventually(lambda: not publisher.backlog)
    await usage.say(spool.boot, 310)
    await eventually(lambda: spool.folder.committed == 310)


@in_a_hurry
async def test_what_has_left_the_files_is_told_as_lost(spool: EventSpool, ship: Ship, usage: UsageSide) -> None:
    """The restored database is older than the oldest segment: those numbers travel as null, so that the boot can be closed."""
    publisher = await ship(spool)
    ids = run_requests(spool, 1_500, filling=500)
    await usage.receive_all(spool.boot, 1_500)
    await eventually(lambda: not publisher.backlog)
    await usage.say(spool.boot, 1_200)
    await eventually(lambda: len(list(spool.folder.path.glob("*.seg"))) == len(spool.folder.segments) < 4)
    kept = ids_of(spool.folder, 1_201)
    assert kept == ids[1_200:]
    usage.boots[spool.boot] = Boot(events=dict(enumerate(ids[:40], 1)))
    await usage.say(spool.boot, 40)
    boot = await usage.receive_all(spool.boot, 1_500)
    came = [boot.events[number] for number in range(1, 1_501)]
    lost = came.count(None)
    assert 0 < lost <= 1_160
    assert came == [*ids[:40], *[None] * lost, *ids[40 + lost :]]


@in_a_hurry
async def test_a_dead_boot_of_which_usage_has_forgotten_is_shipped_again(tmp_path: Path, ship: Ship, usage: UsageSide) -> None:
    """Its cursor says that all is committed, the restored database says otherwise: it is not deleted before that has it all."""
    dead = open_spool(tmp_path / "spool")
    ids = run_requests(dead, 100)
    dead.start(make_start("dangling"))
    dead.mark_shipped(100)
    dead.committed(100)
    dead.close()
    usage.boots[dead.boot] = Boot(events=dict(enumerate(ids[:40], 1)))
    spool = open_spool(tmp_path / "spool")
    await ship(spool)
    await usage.receive_until(lambda: 101 in usage.boots[dead.boot].events)
    assert 41 not in usage.boots[dead.boot].events
    await usage.say(dead.boot, 40)
    boot = await usage.receive_all(dead.boot, 101)
    assert [boot.events[number] for number in range(1, 102)] == [*ids, "dangling"]
    await eventually(lambda: boot.events[101] == "dangling" and boot.close == 101)
    await usage.say(dead.boot, 101, closed=True)
    await eventually(lambda: not dead.folder.path.exists())
    spool.close()
