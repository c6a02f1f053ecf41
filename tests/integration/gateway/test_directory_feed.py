"""The gateway's view of the directory against a real bus that goes back in time, and a disk that cannot be written."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import Error as JetStreamError

from common.contracts.directory import KeyRecord, MemberRecord, key_entry, member_entry
from common.contracts.events import Presence
from common.contracts.subjects import PRESENCE
from gateway.domain.directory_view import DirectoryView
from gateway.outbound.directory_feed import DirectoryFeed
from gateway.outbound.directory_file import DirectoryFile
from tests.servers.fixtures import Bus

SECRET = b"s" * 32


def make_key(number: int, *, version: int = 1, revoked: bool = False) -> KeyRecord:
    return KeyRecord(
        key_id=f"k{number}",
        lookup=f"lookup{number:010d}",
        project_id="p",
        organization_id="o",
        version=version,
        status="revoked" if revoked else "active",
        secrets=(),
    )


class Follower:
    """A feed that runs, the presence it announces, and a hand that writes the bucket."""

    def __init__(self, client: Client, writer: Client, file: DirectoryFile) -> None:
        self.view = DirectoryView()
        self.feed = DirectoryFeed(client, self.view, file, gateway="g", boot="b", changed=lambda _: None)
        self.writer = writer
        self.acknowledged = 0

    async def heard(self, message: Msg) -> None:
        self.acknowledged = msgspec.json.decode(message.data, type=Presence).applied_sequence

    async def put(self, record: KeyRecord | MemberRecord) -> int:
        """The sequence of the record in the bucket; tried again while the connection comes back."""
        member = isinstance(record, MemberRecord)
        entry = member_entry(record.organization_id, record.member_id) if member else key_entry(record.lookup)
        subject = f"$KV.DIRECTORY.{entry}"
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(nats.errors.Error, JetStreamError):
                    return (await self.writer.jetstream(timeout=1).publish(subject, msgspec.json.encode(record))).seq

    def status(self, number: int) -> str:
        """What the view says of a key, empty for one it does not know."""
        key = self.view.key(f"lookup{number:010d}")
        return "" if key is None else key.status

    async def until(self, true: Callable[[], bool], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)


@pytest.fixture
def file(tmp_path: Path) -> DirectoryFile:
    return DirectoryFile(tmp_path / "directory", SECRET)


@pytest.fixture
async def follower(bus: Bus, file: DirectoryFile) -> AsyncIterator[Follower]:
    """Up to date with an empty bucket."""
    client, writer = await bus.connect("gateway"), await bus.connect("accounts")
    made = Follower(client, writer, file)
    await writer.subscribe(PRESENCE, cb=made.heard)
    running = asyncio.create_task(made.feed.run())
    await made.until(lambda: made.feed.confirmed)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await client.close()
    await writer.close()


async def test_a_bucket_that_went_back_is_followed_again(bus: Bus, follower: Follower) -> None:
    """Restored to an older state under its old identity, its sequences come a second time: what is written then is not passed over."""
    store = bus.server.folder / "jetstream"
    if not store.is_dir():
        pytest.skip("the server keeps its store in a container")
    await follower.put(make_key(1))
    bus.server.stop()
    shutil.copytree(store, store.with_name("older"))
    bus.server.start()
    for number in range(2, 12):
        last = await follower.put(make_key(number))
    await follower.until(lambda: follower.acknowledged == last)

    bus.server.stop()
    shutil.rmtree(store)
    store.with_name("older").rename(store)
    bus.server.start()
    await follower.until(lambda: 0 < follower.acknowledged < last)
    assert await follower.put(make_key(12)) < last
    await follower.until(lambda: follower.view.key("lookup0000000012") is not None)


async def test_a_revocation_that_is_not_on_disk_is_not_acknowledged(
    follower: Follower, file: DirectoryFile, tmp_path: Path
) -> None:
    """It is in force at once, but told to accounts only when it would survive the process; writing is tried again."""
    before = await follower.put(make_key(1))
    await follower.until(lambda: follower.acknowledged == before)
    journal = os.dup(file._journal)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file._journal)
    revoked = await follower.put(make_key(1, version=2, revoked=True))
    await follower.until(lambda: follower.status(1) == "revoked")
    await asyncio.sleep(1.5)
    assert follower.acknowledged == before

    os.dup2(journal, file._journal)
    await follower.until(lambda: follower.acknowledged == revoked)
    assert b"revoked" in (tmp_path / "directory" / "revoked").read_bytes()
    os.close(full)
    os.close(journal)


async def test_a_member_who_is_suspended_is_followed(follower: Follower, tmp_path: Path) -> None:
    """The record of an owner comes like any other, and what closes it is on disk before it is acknowledged."""
    member = MemberRecord(member_id="m", organization_id="o", version=1, status="active")
    await follower.put(member)
    suspended = await follower.put(msgspec.structs.replace(member, version=2, status="suspended"))
    await follower.until(lambda: follower.acknowledged == suspended)
    assert follower.view.count("member") == 1
    assert b'"suspended"' in (tmp_path / "directory" / "revoked").read_bytes()
