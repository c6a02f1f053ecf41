"""`effective`: what the gateways have said they applied."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from common.contracts.events import Presence
from common.contracts.subjects import DIRECTORY_STREAM, PRESENCE
from tests.integration.accounts.process import AccountsProcess, seed
from tests.servers.fixtures import Bus


@contextmanager
def _gateways(bus: Bus, *, lagging: int = 0, current: int = 0) -> Iterator[None]:
    """Speak on the wire like gateways: those that have applied everything, and those that have applied nothing."""
    started, stop = threading.Event(), threading.Event()

    async def speak() -> None:
        client = await bus.connect("gateway")
        while not stop.is_set():
            info = await client.jetstream().stream_info(DIRECTORY_STREAM)
            for number in range(lagging + current):
                applied = info.state.last_seq if number >= lagging else 0
                presence = Presence(
                    gateway=f"g{number}", boot="b", directory_created=info.created.isoformat(), applied_sequence=applied, at=0
                )
                await client.publish(PRESENCE, msgspec.json.encode(presence))
            await client.flush()
            started.set()
            await asyncio.sleep(0.02)
        await client.close()

    thread = threading.Thread(target=lambda: asyncio.run(speak()))
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        stop.set()
        thread.join(10)


def test_a_change_waits_until_every_gateway_has_applied_it(
    migrated: dict[str, str], bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """n of n when all have; when one lags the answer comes all the same, in time, and says so."""
    project = seed(migrated, "alice@example.com")["project_id"]
    process = start_accounts(migrated)
    with process.sign_in("alice@example.com") as alice:
        with _gateways(bus, current=3):
            issued = alice.post(f"/projects/{project}/keys", json={"name": "x"}).json()
            assert (issued["effective"]["gateways"], issued["effective"]["acknowledged"]) == (3, 3)
            assert not issued["effective"]["pending"]
        with _gateways(bus, lagging=1, current=2):
            revoked = alice.delete(f"/projects/{project}/keys/{issued['id']}")
            effective = revoked.json()["effective"]
            assert (effective["gateways"], effective["acknowledged"], effective["pending"]) == (3, 2, True)
            assert 900 <= effective["milliseconds"] <= 2_000
            assert revoked.json()["status"] == "revoked"
