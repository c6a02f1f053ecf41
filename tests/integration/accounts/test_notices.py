"""Reminders: said once per milestone, listed, mailed to the owner; and the deadline of a key that was not rotated."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from accounts.app import open_context
from accounts.settings import Settings
from accounts.use_cases.context import Context
from accounts.use_cases.remind_owners import remind_owners
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.mailbox import open_mailbox
from tests.integration.accounts.process import AccountsProcess, seed
from tests.servers.fixtures import Bus, Database

DAY = timedelta(days=1)


@asynccontextmanager
async def context_of(env: dict[str, str]) -> AsyncIterator[Context]:
    """What the use cases work with, in this process."""
    known = {f"ACCOUNTS_{name.upper()}": name for name in Settings.model_fields}
    given = {known[name]: value for name, value in env.items() if name in known}
    secrets = {name: SecretStr(value) for name, value in given.items() if name.endswith(("password", "_key", "peppers"))}
    async with open_context(Settings(**{**given, **secrets})) as (context, _):  # type: ignore[arg-type] # as the environment has it
        yield context


class Company:
    """Alice's project on a database of the test's own, and her keys by SQL."""

    def __init__(self, env: dict[str, str], database: Database) -> None:
        self.env, self._conninfo = env, database.conninfo("accounts")
        self.seeded = seed(env, "alice@example.com")

    def make_key(self, name: str, **values: Any) -> str:
        """A key like the seeded one with other values, made 90 days ago; its id."""
        columns = {"created_at": datetime.now(UTC) - 90 * DAY, "expires_at": None, "rotate_days": None, **values}
        with psycopg.connect(self._conninfo) as connection:
            copied = connection.execute(
                "INSERT INTO api_keys (id, project_id, organization_id, lookup, hint, name, label, secrets, owner_kind, owner_id,"
                " tags, created_by, created_at, expires_at, rotate_days)"
                " SELECT gen_random_uuid(), project_id, organization_id, left(md5(random()::text), 16), hint, %s, label, secrets,"
                " owner_kind, owner_id, tags, created_by, %s, %s, %s FROM api_keys WHERE name = 'Demo' RETURNING id::text",
                [name, columns["created_at"], columns["expires_at"], columns["rotate_days"]],
            ).fetchone()
            assert copied is not None
            return copied[0]

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._conninfo) as connection:
            return connection.execute(statement, values).fetchall()  # type: ignore[arg-type] # the test's own text

    def said(self, key: str) -> list[tuple[str, int]]:
        """Kind and milestone of the notices about a key, oldest first."""
        return [
            (kind, int(days))
            for kind, days in self.query("SELECT kind, detail->>'days_before' FROM notices WHERE object_id = %s ORDER BY id", key)
        ]


@pytest.fixture
def company(migrated: dict[str, str], database: Database) -> Company:
    """Nobody else reminds on this database: no service runs on it."""
    return Company(migrated, database)


async def test_each_milestone_is_said_once(company: Company):
    """However often it is looked; a look that comes late says the milestone that counts by then, and no other."""
    now = datetime.now(UTC)
    expiring = company.make_key("Expiring", expires_at=now + 20 * DAY)
    turning = company.make_key("Turning", rotate_days=100)
    lasting = company.make_key("Lasting")
    async with context_of(company.env) as context:
        for days in (0, 0, 7, 7, 14, 19, 19.5):
            await remind_owners(context, now + days * DAY)
    assert company.said(expiring) == [("key_expires", 14), ("key_expires", 7), ("key_expires", 1)]
    assert company.said(turning) == [("key_rotation_due", days) for days in (14, 7, 0)], "nobody looked a day before it was due"
    assert company.said(lasting) == []


async def test_revoked_and_suspended_keys_are_not_spoken_of(company: Company):
    """They do not work anyway."""
    keys = [company.make_key(name, expires_at=datetime.now(UTC) + DAY / 2) for name in ("revoked", "suspended")]
    for key in keys:
        with psycopg.connect(company._conninfo) as connection:
            connection.execute("UPDATE api_keys SET status = name WHERE id = %s", [key])
    async with context_of(company.env) as context:
        assert await remind_owners(context, datetime.now(UTC)) == 0


async def test_a_key_that_is_not_rotated_gets_its_deadline_announced(company: Company):
    """A day before it is due; a rotation in time takes it away, and both is audited as the service's own doing."""
    key = company.make_key("Overdue", created_at=datetime.now(UTC) - 29 * DAY, rotate_days=30)
    stops = company.query("SELECT created_at + interval '31 days' FROM api_keys WHERE id = %s", key)[0][0]
    not_after = "SELECT (secrets->0->>'not_after')::bigint, version FROM api_keys WHERE id = %s"
    async with context_of(company.env) as context:
        now = datetime.now(UTC)
        await remind_owners(context, now - timedelta(hours=2))
        assert company.query(not_after, key) == [(None, 1)], "more than a day before"
        for _ in range(2):
            await remind_owners(context, now + timedelta(hours=2))
            assert company.query(not_after, key) == [(int(stops.timestamp() * 1000), 2)], "once"
    assert len(company.query("SELECT 1 FROM outbox WHERE payload LIKE %s AND version = 2", b"%not_after%")) == 1
    audited = "SELECT action, actor_kind, after->>'stops_working_at' FROM audit_log WHERE object_id = %s"
    [(action, actor, told)] = company.query(audited, key)
    assert (action, actor, datetime.fromisoformat(told)) == ("key.updated", "system", stops)


async def test_a_dead_key_works_again_after_its_rotation(
    company: Company, start_accounts: Callable[..., AccountsProcess], bus: Bus
):
    """Nothing else brings it back: not a longer schedule, not a name."""
    key = company.make_key("Dead", created_at=datetime.now(UTC) - 40 * DAY, rotate_days=30)
    process = start_accounts(company.env)
    lookup = company.query("SELECT lookup FROM api_keys WHERE id = %s", key)[0][0]
    dead = bucket.wait_for(bus, f"key.{lookup}", version=2, seconds=30)["secrets"]
    assert dead[0]["not_after"] < datetime.now(UTC).timestamp() * 1000
    path = f"/projects/{company.seeded['project_id']}/keys/{key}"
    with process.sign_in("alice@example.com") as alice:
        assert alice.patch(path, json={"rotate_days": None, "name": "Still dead"}).status_code == 200
        assert bucket.wait_for(bus, f"key.{lookup}", version=3)["secrets"] == dead
        turned = alice.post(f"{path}/rotate").json()
        assert turned["rotation"]["old_secret_until"] is None
        assert "not_after" not in bucket.wait_for(bus, f"key.{lookup}", version=4)["secrets"][0]


async def test_many_keys_are_looked_through_in_chunks(company: Company):
    """All of them, each once."""
    with psycopg.connect(company._conninfo) as connection:
        connection.execute(
            "INSERT INTO api_keys (id, project_id, organization_id, lookup, hint, name, label, secrets, owner_kind, owner_id, tags,"
            " created_by, created_at, expires_at) SELECT gen_random_uuid(), project_id, organization_id, 'many-' || n, hint, 'Many',"
            " label, secrets, owner_kind, owner_id, tags, created_by, now() - interval '30 days', now() + interval '6 days'"
            " FROM api_keys, generate_series(1, 1100) n WHERE name = 'Demo'"
        )
    async with context_of(company.env) as context:
        assert await remind_owners(context, datetime.now(UTC)) == 1_100
        assert await remind_owners(context, datetime.now(UTC)) == 0


async def test_the_owner_gets_one_mail_with_all_of_it(company: Company):
    """Where mail is configured; what has been said is not mailed again, and no secret is in it."""
    company.make_key("Laptop", expires_at=datetime.now(UTC) + 6 * DAY)
    company.make_key("Desktop", rotate_days=96)
    with open_mailbox() as mailbox:
        async with context_of({**company.env, **mailbox.env}) as context:
            assert await remind_owners(context, datetime.now(UTC)) == 2
            assert await remind_owners(context, datetime.now(UTC)) == 0
        (mail,) = mailbox.wait_for("alice@example.com")
        assert len(mailbox.mails) == 1
    text = mail.get_content()
    assert "Laptop" in text
    assert "Desktop" in text
    assert company.query("SELECT secrets->0->>'digest' FROM api_keys LIMIT 1")[0][0] not in text


async def test_a_mail_that_fails_leaves_the_notice(company: Company):
    """The list is what counts."""
    key = company.make_key("Laptop", expires_at=datetime.now(UTC) + 6 * DAY)
    with open_mailbox() as mailbox:
        mailbox.refusing = True
        async with context_of({**company.env, **mailbox.env}) as context:
            assert await remind_owners(context, datetime.now(UTC)) == 1
    assert company.said(key) == [("key_expires", 7)]


async def test_notices_are_listed(accounts: Service, project: dict[str, Any]):
    """To those who may see keys; strangers get 404."""
    ends = datetime.now(UTC) + 3 * DAY
    made = accounts.alice.post(f"/projects/{project['id']}/keys", json={"name": "Ending", "expires_at": ends.isoformat()}).json()
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        connection.execute("UPDATE api_keys SET created_at = now() - interval '30 days' WHERE id = %s", [made["id"]])
    async with context_of(accounts.env) as context:
        await remind_owners(context, datetime.now(UTC))
    path = f"/organizations/{accounts.alice_seed['organization_id']}/notices"
    answer = accounts.alice.get(path, params={"object_id": made["id"]})
    assert answer.status_code == 200, answer.text
    (notice,) = answer.json()["data"]
    assert (notice["kind"], notice["object_id"]) == ("key_expires", made["id"])
    assert (notice["detail"]["name"], notice["detail"]["hint"]) == ("Ending", made["hint"])
    assert (notice["detail"]["days_before"], notice["detail"]["project_id"]) == (7, project["id"])
    assert datetime.fromisoformat(notice["detail"]["due_at"]) == ends
    assert notice["id"] in [one["id"] for one in accounts.alice.get(path, params={"limit": 200}).json()["data"]]
    assert accounts.bob.get(path).status_code == 404
