"""The embedded (or containered) servers keep their promises: data through kill -9, least privilege, passwords."""

import asyncio

import nats.errors
import nats.js.errors
import psycopg
import pytest
import redis

from common.contracts import subjects
from devstack.servers.nats import NatsServer
from devstack.servers.postgres import PostgresServer
from devstack.servers.process import StartFailed
from devstack.servers.valkey import ValkeyServer


def test_postgres_keeps_committed_rows_through_kill_and_restart(make_postgres_server, database_passwords):
    """What was committed is there after kill -9 and after an orderly restart, on the same port."""
    server: PostgresServer = make_postgres_server()
    server.create_database(passwords=database_passwords)
    port = server.port
    server.run_sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)", database="codexflow")
    server.kill()
    assert not server.running
    server.restart()
    server.restart()
    assert server.port == port
    assert server.run_sql("SELECT count(*) FROM kept", database="codexflow").strip() == "1"


def test_postgres_roles_own_their_schema_and_cannot_see_the_other(database):
    """Each owner works in its own schema by default; others are refused there, in `public`, and where nothing was granted."""
    with psycopg.connect(database.conninfo("accounts_owner"), autocommit=True) as accounts:
        accounts.execute("CREATE TABLE secrets_of_accounts (n int)")
        (schema,) = accounts.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'secrets_of_accounts'").fetchone()
        assert schema == "accounts"
    with psycopg.connect(database.conninfo("usage"), autocommit=True) as usage:
        for statement in (
            "SELECT * FROM accounts.secrets_of_accounts",
            "CREATE TABLE accounts.mine (n int)",
            "CREATE TABLE public.mine (n int)",
            "CREATE SCHEMA another",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                usage.execute(statement)
    with psycopg.connect(database.conninfo("accounts"), autocommit=True) as service:
        for statement in ("SELECT * FROM accounts.secrets_of_accounts", "CREATE TABLE accounts.mine (n int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute(statement)


def test_postgres_wants_the_right_password(database):
    """A wrong password is refused: the roles are scram roles, not trusted ones."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.conninfo("usage").replace(database.passwords["usage"], "wrong"))


async def test_nats_keeps_the_directory_through_kill(bus):
    """An acknowledged directory record is there after kill -9, and provisioning again changes nothing."""
    client = await bus.connect("accounts")
    await client.jetstream().publish("$KV.DIRECTORY.project.1", b"{}")
    await client.close()
    bus.server.kill()
    bus.server.restart()
    assert bus.provision() == []
    client = await bus.connect("provisioner")
    try:
        assert (await client.jetstream().stream_info(subjects.DIRECTORY_STREAM)).state.messages == 1
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("gateway", "$KV.DIRECTORY.key.abc"),
        ("gateway", f"{subjects.QUOTA_STATE}.x"),
        ("gateway", "$JS.API.STREAM.DELETE.REQUESTS"),
        ("usage", "$KV.DIRECTORY.key.abc"),
        ("usage", subjects.REQUESTS),
        ("accounts", subjects.REQUESTS),
        ("accounts", "$JS.API.STREAM.PURGE.KV_DIRECTORY"),
    ],
)
async def test_nats_refuses_what_a_service_may_not_publish(bus, service, subject):
    """Least privilege is enforced by the server: no answer for the forbidden, and nothing is stored."""
    client = await bus.connect(service)
    try:
        with pytest.raises((nats.errors.TimeoutError, nats.errors.NoRespondersError)):
            await client.request(subject, b"{}", timeout=0.3)
    finally:
        await client.close()
    client = await bus.connect("provisioner")
    try:
        for stream in (subjects.REQUESTS_STREAM, subjects.DIRECTORY_STREAM):
            assert (await client.jetstream().stream_info(stream)).state.messages == 0
    finally:
        await client.close()


async def test_nats_lets_the_services_do_their_work(bus):
    """The gateway may report requests, accounts may write the directory, and the gateway hears it republished."""
    gateway, accounts = await asyncio.gather(bus.connect("gateway"), bus.connect("accounts"))
    try:
        heard = await gateway.subscribe(f"{subjects.DIRECTORY_REPUBLISHED}.>")
        await gateway.flush()
        await accounts.jetstream().publish("$KV.DIRECTORY.project.1", b"{}")
        assert (await heard.next_msg(timeout=30)).subject.endswith("project.1")
        await gateway.jetstream().publish(subjects.REQUESTS, b"[]", headers={"Nats-Msg-Id": "1"})
    finally:
        await asyncio.gather(gateway.close(), accounts.close())


def test_valkey_wants_its_password_and_forgets(make_valkey_server):
    """No command without the password, and a restart empties it: it is a cache, not a store."""
    server: ValkeyServer = make_valkey_server()
    with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis(port=server.port, password=server.password) as client:
        client.set("a", "1")
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lru"
    server.kill()
    server.restart()
    with redis.Redis(port=server.port, password=server.password) as client:
        assert client.get("a") is None


def test_a_failed_start_says_why(tmp_path):
    """A server that cannot start raises with its name and the tail of its log."""
    with NatsServer(tmp_path / "first", passwords=dict.fromkeys(("provisioner", "gateway", "accounts", "usage"), "x")) as first:
        second = ValkeyServer(tmp_path / "second", password="x", port=first.port)
        with pytest.raises(StartFailed, match=r"valkey ended with exit code 1(.|\n)*Address already in use"):
            second.start()
        assert not second.running
