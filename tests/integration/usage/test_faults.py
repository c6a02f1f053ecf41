"""What breaks around usage is survived: nothing lost, nothing twice, back by itself."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from common.contracts.identifiers import uuid7
from common.contracts.subjects import DEAD_LETTERS_STREAM, REQUESTS_CONSUMER, REQUESTS_STREAM
from devstack.servers.nats import NatsServer
from devstack.servers.postgres import PostgresServer
from tests.days import this_month
from tests.integration.usage.conftest import Books, UsageProcess, eventually, migrate, process_on
from tests.integration.usage.gateway_side import GatewaySide, envelope_headers, make_event
from tests.integration.usage.signer import Signer
from tests.servers.fixtures import Bus, Database, make_database


@pytest.fixture
def own_database(make_postgres_server: Callable[[], PostgresServer]) -> Database:
    """A migrated database on a server of the test's own, which may be killed."""
    made = make_database(
        make_postgres_server(), {"accounts_owner": "o-password", "accounts": "a-password", "usage": "u-password"}
    )
    migrate(made)
    return made


@pytest.fixture
def usage_on_own(own_database: Database, bus: Bus, signer: Signer, tmp_path: Path) -> Iterator[UsageProcess]:
    """The service on that database, ready."""
    with process_on(own_database, bus, signer, tmp_path / "usage.log") as process:
        process.start()
        yield process


async def test_a_poison_envelope_is_parked_and_its_batch_mates_are_booked(
    migrated: Database, bus: Bus, signer: Signer, gateway: GatewaySide, books: Books, tmp_path: Path
) -> None:
    """Garbage, a bad event among good ones, headers that say nothing: parked with reason; numbers that are known are receipted."""
    boot, project = uuid7(), uuid7()
    await gateway.ship([make_event(project, boot)], boot=boot, first=1)
    await gateway.ship_raw(b"{not json", envelope_headers(boot, 2, 3))
    mixed = [make_event(project, boot), make_event(project, boot, period_day="never"), make_event(project, boot)]
    await gateway.ship(mixed, boot=boot, first=4)
    await gateway.ship_raw(b"[]", {})
    await gateway.ship([make_event(project, boot)], boot=boot, first=7)
    with process_on(migrated, bus, signer, tmp_path / "usage.log") as usage:
        usage.start()
        await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 7", boot))
        assert books.one("SELECT count(*) FROM requests WHERE project_id = %s", project) == 4
        js = gateway.administrator.jetstream()
        letters = [await js.get_msg(DEAD_LETTERS_STREAM, seq) for seq in (1, 2, 3)]
        reasons = [(letter.headers or {})["Codexflow-Reason"] for letter in letters]
        assert reasons[0].startswith("body:")
        assert reasons[1] == "[1] period_day"
        assert reasons[2].startswith("header")
        assert letters[0].data == b"{not json"

        async def drained() -> bool:
            return (await js.stream_info(REQUESTS_STREAM)).state.messages == 0

        await eventually(drained)


async def test_values_that_the_database_refuses_are_parked_alone(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """A sum that no longer fits refuses the whole statement: the row at fault is found, the others are booked."""
    boot, full, project = uuid7(), uuid7(), uuid7()
    books.query(
        "INSERT INTO ledger (scope, scope_id, period, spent_tokens) VALUES ('project', %s, %s, %s)", full, this_month(), 2**63 - 5
    )
    events = [make_event(project, boot), make_event(full, boot), make_event(project, boot)]
    await gateway.ship(events, boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 3", boot))
    assert books.one("SELECT spent_tokens FROM ledger WHERE scope_id = %s AND length(period) = 7", project) == 30
    letter = await gateway.administrator.jetstream().get_msg(DEAD_LETTERS_STREAM, 1)
    assert full.encode() in (letter.data or b"")


@pytest.mark.faults
async def test_postgres_killed_and_restarted_under_load(
    usage_on_own: UsageProcess, own_database: Database, gateway: GatewaySide
) -> None:
    """While the database is away nothing is acknowledged; afterwards everything is in the books once."""
    books, project, boot = Books(own_database.conninfo("usage")), uuid7(), uuid7()

    async def load(start: int, count: int) -> None:
        for number in range(start, start + count):
            await gateway.ship([make_event(project, boot)], boot=boot, first=number)
            await asyncio.sleep(0.01)

    await load(1, 50)
    running = asyncio.create_task(load(51, 100))
    await asyncio.sleep(0.3)
    own_database.server.kill()
    await asyncio.sleep(3)
    assert usage_on_own.status("/healthz") == 200
    await eventually(lambda: usage_on_own.status("/readyz") == 503)
    own_database.server.start()
    await running
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 150", boot))
    assert books.query("SELECT spent_tokens FROM ledger WHERE scope_id = %s AND length(period) = 7", project) == [(150 * 15,)]
    assert books.one("SELECT count(*) FROM requests") == 150
    await eventually(lambda: usage_on_own.status("/readyz") == 200)


@pytest.mark.faults
async def test_nats_killed_and_restarted(usage: UsageProcess, bus: Bus, gateway: GatewaySide, books: Books) -> None:
    """After the bus comes back, events are booked, grants answered and limits heard, without a restart of usage."""
    project, boot = uuid7(), uuid7()
    await gateway.put_project(project, tokens=1_000)
    await gateway.ship([make_event(project, boot)], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))
    bus.server.kill()
    await eventually(lambda: usage.status("/readyz") == 503)
    assert usage.status("/healthz") == 200
    bus.server.start()
    fresh = await GatewaySide.connect(bus)
    try:
        await fresh.ship([make_event(project, boot)], boot=boot, first=2)
        await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 2", boot))
        await eventually(lambda: usage.status("/readyz") == 200)
        await fresh.put_project(project, version=2, tokens=77)
        assert (await fresh.ask_tokens(boot, project, 1, limit_version=2, need_tokens=1, settled_tokens=30)).limit_tokens == 77
    finally:
        await fresh.close()


async def test_a_deleted_durable_comes_back(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """The watchdog makes it again, and what was sent meanwhile is booked."""
    boot, project = uuid7(), uuid7()
    await gateway.administrator.jetstream().delete_consumer(REQUESTS_STREAM, REQUESTS_CONSUMER)
    await gateway.ship([make_event(project, boot)], boot=boot, first=1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))


async def test_a_recreated_directory_is_read_again(usage: UsageProcess, gateway: GatewaySide, bus: Bus, books: Books) -> None:
    """Another bucket under the same name starts from a low sequence; its records are seen all the same."""
    project = uuid7()
    for version in (1, 2, 3):
        await gateway.put_project(project, version=version, tokens=version)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s AND version = 3", project))
    await gateway.administrator.jetstream().delete_stream("KV_DIRECTORY")
    await asyncio.to_thread(bus.provision)
    await gateway.put_project(project, version=4, tokens=4)
    await eventually(lambda: books.query("SELECT 1 FROM projects WHERE project_id = %s AND monthly_tokens = 4", project))


async def test_the_service_starts_before_the_bus(
    migrated: Database, make_nats_server: Callable[[], NatsServer], signer: Signer, tmp_path: Path
) -> None:
    """With NATS down it is alive and unready; when NATS comes it becomes ready by itself."""
    bus = Bus(make_nats_server())
    bus.provision()
    bus.server.stop()
    with process_on(migrated, bus, signer, tmp_path / "usage.log") as usage:
        usage.start(ready=False)
        await eventually(lambda: usage.status("/healthz") == 200)
        assert usage.status("/readyz") == 503
        bus.server.start()
        await asyncio.to_thread(usage.wait_ready)
        assert usage.stop() == 0


async def test_the_service_starts_before_the_database(own_database: Database, bus: Bus, signer: Signer, tmp_path: Path) -> None:
    """With Postgres down it is alive and unready; when Postgres comes it becomes ready by itself."""
    with process_on(own_database, bus, signer, tmp_path / "usage.log") as usage:
        own_database.server.stop()
        usage.start(ready=False)
        await eventually(lambda: usage.status("/healthz") == 200)
        assert usage.status("/readyz") == 503
        own_database.server.start()
        await asyncio.to_thread(usage.wait_ready)


@pytest.mark.faults
async def test_killed_and_stopped_under_load_nothing_is_lost_or_doubled(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """kill -9, then SIGTERM, with envelopes in hand: redelivery and the gateway's re-shipping change nothing in the sums."""
    boot, project = uuid7(), uuid7()
    events = [make_event(project, boot) for _ in range(300)]
    for start in range(0, 300, 10):
        await gateway.ship(events[start : start + 10], boot=boot, first=start + 1)
        if start == 100:
            usage.kill()
            usage.start()
        if start == 200:
            assert usage.stop() == 0
            usage.start()
    # What a killed process held comes again only after the ack wait; the gateway re-ships sooner.
    for start in range(0, 300, 50):
        await gateway.ship(events[start : start + 50], boot=boot, first=start + 1)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 300", boot))
    assert books.one("SELECT count(*) FROM requests WHERE project_id = %s", project) == 300
    assert books.query("SELECT spent_tokens FROM ledger WHERE scope_id = %s AND length(period) = 7", project) == [(4_500,)]


@pytest.mark.faults
async def test_a_paused_bus_is_noticed_and_survived(usage: UsageProcess, gateway: GatewaySide, bus: Bus, books: Books) -> None:
    """A server that accepts and says nothing makes usage unready; when it goes on, so does usage."""
    boot, project = uuid7(), uuid7()
    pid = bus.server.pid
    if pid is None:
        pytest.skip("only a server that is a process of ours can be paused")
    os.kill(pid, signal.SIGSTOP)
    try:
        await eventually(lambda: usage.status("/readyz") == 503)
        assert usage.status("/healthz") == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: usage.status("/readyz") == 200)
    fresh = await GatewaySide.connect(bus)
    try:
        await fresh.ship([make_event(project, boot)], boot=boot, first=1)
        await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))
    finally:
        await fresh.close()


async def test_a_missing_setting_is_one_sentence(usage: UsageProcess) -> None:
    """No traceback, no secret: the variable to set, exit code 2."""
    usage.env = {name: value for name, value in usage.env.items() if name != "USAGE_NATS_PASSWORD"}
    done = usage.run("serve")
    assert done.returncode == 2
    assert done.stderr == "usage: set USAGE_NATS_PASSWORD: Field required\n"


@pytest.mark.faults
async def test_refused_credentials_leave_no_zombie(usage: UsageProcess, bus: Bus, gateway: GatewaySide, books: Books) -> None:
    """A server that refuses our password for a while: usage is well again by itself, or ends with code 70 and is well when started."""
    boot, project, config = uuid7(), uuid7(), bus.server.folder / "nats.conf"
    good = config.read_text()
    bus.server.stop()
    config.write_text(good.replace(bus.passwords["usage"], "another"))
    bus.server.start()
    await eventually(lambda: usage.status("/readyz") == 503)
    await asyncio.sleep(2)
    bus.server.stop()
    config.write_text(good)
    bus.server.start()
    assert usage.process is not None
    process = usage.process
    await eventually(lambda: process.poll() is not None or usage.status("/readyz") == 200, 90)
    if process.poll() is not None:
        assert process.returncode == 70
        usage.start()
    fresh = await GatewaySide.connect(bus)
    try:
        await fresh.ship([make_event(project, boot)], boot=boot, first=1)
        await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot))
        await fresh.put_project(project, tokens=5)
        assert (await fresh.ask_tokens(boot, project, 1, need_tokens=1, settled_tokens=15)).limit_tokens == 5
    finally:
        await fresh.close()


@pytest.mark.faults
async def test_a_paused_database_freezes_nothing_else(
    usage_on_own: UsageProcess, own_database: Database, gateway: GatewaySide
) -> None:
    """A database that accepts and says nothing: alive, unready, no answer to asks; when it goes on, everything is booked once."""
    books, project, boot = Books(own_database.conninfo("usage")), uuid7(), uuid7()
    pid = own_database.server.pid
    if pid is None:
        pytest.skip("only a server that is a process of ours can be paused")
    backends = [
        row[0] for row in books.query("SELECT pid FROM pg_stat_activity WHERE usename = 'usage' AND pid <> pg_backend_pid()")
    ]
    group = [pid, *(int(str(backend)) for backend in backends)]
    for one in group:
        os.kill(one, signal.SIGSTOP)
    try:
        await gateway.ship([make_event(project, boot)], boot=boot, first=1)
        await eventually(lambda: usage_on_own.status("/readyz") == 503)
        assert usage_on_own.status("/healthz") == 200
        with pytest.raises(TimeoutError):
            await gateway.ask_once(boot, project, 1, need_tokens=1, seconds=1)
    finally:
        for one in group:
            os.kill(one, signal.SIGCONT)
    await eventually(lambda: books.query("SELECT 1 FROM boots WHERE boot = %s AND contiguous = 1", boot), 90)
    assert books.one("SELECT count(*) FROM requests WHERE project_id = %s", project) == 1
    await eventually(lambda: usage_on_own.status("/readyz") == 200)


async def test_reports_that_are_stuck_leave_the_asks_their_connections(
    usage: UsageProcess, gateway: GatewaySide, books: Books, signer: Signer
) -> None:
    """While every connection of the reports waits for a table, budget is granted."""
    project, boot = uuid7(), uuid7()
    await gateway.put_organization()
    await gateway.put_project(project, tokens=1_000)
    await gateway.ask_tokens(boot, project, 1)
    headers = {"authorization": f"Bearer {signer.token({'org-1': 'viewer'})}"}
    stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'codexflow-usage'"
    limits = httpx.Limits(max_connections=40)
    async with (
        await psycopg.AsyncConnection.connect(books.conninfo) as blocker,
        httpx.AsyncClient(base_url=usage.url, headers=headers, trust_env=False, timeout=30, limits=limits) as client,
        asyncio.TaskGroup() as readers,
    ):
        await blocker.execute("LOCK TABLE daily_usage IN ACCESS EXCLUSIVE MODE")

        async def read() -> None:
            while True:
                await client.get(f"/api/v1/projects/{project}/usage/daily")

        reading = [readers.create_task(read()) for _ in range(30)]
        await eventually(lambda: int(str(books.one(stuck))) >= 12)
        assert (await gateway.ask_once(boot, project, 2, need_tokens=10, seconds=10)).status == "granted"
        for task in reading:
            task.cancel()
