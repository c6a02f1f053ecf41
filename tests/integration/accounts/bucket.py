"""What a reader of the DIRECTORY bucket sees."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from nats.js.errors import NotFoundError

from accounts.domain.objects import Record, entry_of
from common.contracts.subjects import DIRECTORY_STREAM
from tests.servers.fixtures import Bus


def in_loop(work: Any) -> Any:
    """Run a coroutine function in a loop of its own, also from tests that are coroutines."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result(60)


def read(bus: Bus, entry: str) -> dict[str, Any] | None:
    """The record under an entry, None when there is none."""

    async def look() -> dict[str, Any] | None:
        client = await bus.connect("provisioner")
        try:
            message = await client.jetstream().get_last_msg(DIRECTORY_STREAM, f"$KV.DIRECTORY.{entry}")
            return msgspec.json.decode(message.data)
        except NotFoundError:
            return None
        finally:
            await client.close()

    return in_loop(look)


def wait_for(bus: Bus, entry: str, *, version: int = 1, name: str = "version", seconds: float = 10) -> dict[str, Any]:
    """The record once its version is at least this."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        record = read(bus, entry)
        if record is not None and record[name] >= version:
            return record
        time.sleep(0.05)
    raise TimeoutError(f"{entry} has not reached {name} {version}: {record}")


def count(bus: Bus, entries: str) -> int:
    """How many entries match a pattern like `member.>`."""

    async def look() -> int:
        client = await bus.connect("provisioner")
        try:
            found = await client.jetstream().stream_info(DIRECTORY_STREAM, subjects_filter=f"$KV.DIRECTORY.{entries}")
            return len(found.state.subjects or {})
        finally:
            await client.close()

    return in_loop(look)


def put(bus: Bus, record: Record) -> None:
    """Put a record past the relay, as no program of ours does."""

    async def publish() -> None:
        client = await bus.connect("provisioner")
        try:
            await client.jetstream().publish(f"$KV.DIRECTORY.{entry_of(record)}", msgspec.json.encode(record))
        finally:
            await client.close()

    in_loop(publish)


def forget(bus: Bus, entry: str) -> None:
    """Purge an entry, as a disk might that lost its last writes."""

    async def purge() -> None:
        client = await bus.connect("provisioner")
        try:
            await client.jetstream().purge_stream(DIRECTORY_STREAM, subject=f"$KV.DIRECTORY.{entry}")
        finally:
            await client.close()

    in_loop(purge)


def delete_bucket(bus: Bus) -> None:
    """Delete the bucket's stream, as an operator or a disk might."""

    async def delete() -> None:
        client = await bus.connect("provisioner")
        try:
            await client.jetstream().delete_stream(DIRECTORY_STREAM)
        finally:
            await client.close()

    in_loop(delete)
