"""The bucket compared with the database: every kind of drift is found, reported and repaired; nothing fresh is lost to it."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pytest

from accounts.outbound.bus import Bus as AccountsBus
from accounts.outbound.database import database_url, open_engine
from accounts.outbound.directory_bucket import DirectoryBucket
from accounts.use_cases.reconcile_directory import reconcile_directory
from common.contracts.api_keys import lookup_of, make_lookup
from common.contracts.directory import (
    KeyRecord,
    KeySecret,
    MemberRecord,
    OrganizationRecord,
    ProjectRecord,
    key_entry,
    member_entry,
    organization_entry,
    project_entry,
)
from tests.integration.accounts import bucket
from tests.integration.accounts.process import AccountsProcess, run, seed
from tests.servers.fixtures import Bus, Database

WITH_END_USERS = (OrganizationRecord, ProjectRecord)
NONE = {"missing": 0, "older": 0, "newer": 0, "orphan": 0}


class Place:
    """A directory of one organization whose service has filled the bucket and stands still now: nothing but a test changes it."""

    def __init__(self, env: dict[str, str], database: Database, bus: Bus, start: Callable[..., AccountsProcess]) -> None:
        self.env, self.database, self.bus, self._start = env, database, bus, start
        self.demo = seed(env, "alice@example.com")
        process = start(env)
        with process.sign_in("alice@example.com") as alice:
            self.keys = [self._issue(alice, f"Key {number}") for number in range(4)]
        bucket.wait_for(bus, "manifest", name="generation")
        self.wait_drained()
        assert process.stop() == 0

    def _issue(self, alice: httpx.Client, name: str) -> dict[str, Any]:
        answer = alice.post(f"/projects/{self.demo['project_id']}/keys", json={"name": name})
        assert answer.status_code == 201, answer.text
        return {**answer.json(), "entry": key_entry(lookup_of(answer.json()["key"]) or "")}

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.database.conninfo("accounts")) as connection:
            done = connection.execute(statement, values)
            return done.fetchall() if done.description else []

    def reconcile(self, *options: str, code: int = 0) -> dict[str, Any]:
        """What the command says."""
        done = run(self.env, "reconcile", "--json", *options)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def start(self, **more: str) -> AccountsProcess:
        return self._start({**self.env, **more})

    def wait_drained(self) -> None:
        deadline = time.monotonic() + 20
        while self.sql("SELECT 1 FROM outbox"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def place(migrated: dict[str, str], database: Database, bus: Bus, start_accounts: Callable[..., AccountsProcess]) -> Place:
    return Place(migrated, database, bus, start_accounts)


def test_without_drift_nothing_is_touched(place: Place):
    """All entries are compared; a change that still waits in the outbox is on its way, not lost."""
    found = place.reconcile()
    assert (found["drift"], found["repaired"]) == (NONE, NONE)
    assert found["entries"] == 4 + 1 + 4 + 0  # organization, project, member, the demo's key; the manifest; four keys
    assert found["rows"] == 8
    entry = place.keys[0]["entry"]
    place.sql("UPDATE api_keys SET version = 2 WHERE id = %s", place.keys[0]["id"])
    place.sql("INSERT INTO outbox (entry, version, payload) VALUES (%s, 2, '{}')", entry)
    assert place.reconcile()["drift"] == NONE
    assert place.sql("SELECT count(*) FROM audit_log WHERE action = 'directory.repaired'") == [(0,)]


def test_what_the_bucket_lacks_is_announced_again(place: Place):
    """A lost entry and one that stayed behind come back with the row's version; each repair is in the audit log."""
    lost, behind = place.keys[0], place.keys[1]
    bucket.forget(place.bus, lost["entry"])
    place.sql("UPDATE api_keys SET version = 7, name = 'Renamed' WHERE id = %s", behind["id"])
    found = place.reconcile()
    assert found["drift"] == found["repaired"] == {**NONE, "missing": 1, "older": 1}
    place.start()
    assert bucket.wait_for(place.bus, lost["entry"])["version"] == 1
    assert bucket.wait_for(place.bus, behind["entry"], version=7)["name"] == "Renamed"
    place.wait_drained()
    assert place.reconcile()["drift"] == NONE
    lines = place.sql(
        "SELECT actor_kind, object_id, organization_id::text, after->>'drift' FROM audit_log "
        "WHERE action = 'directory.repaired' ORDER BY after->>'drift'"
    )
    organization = place.demo["organization_id"]
    assert lines == [("system", lost["id"], organization, "missing"), ("system", behind["id"], organization, "older")]


def test_a_dry_run_reports_and_changes_nothing(place: Place):
    """It ends with 3 as long as something differs, with 0 when nothing does, and says the same each time."""
    assert place.reconcile("--dry-run")["drift"] == NONE
    lost = place.keys[0]
    bucket.forget(place.bus, lost["entry"])
    for _ in range(2):
        found = place.reconcile("--dry-run", code=3)
        assert (found["drift"], found["repaired"]) == ({**NONE, "missing": 1}, NONE)
    assert bucket.read(place.bus, lost["entry"]) is None
    assert place.sql("SELECT count(*) FROM outbox") == [(0,)]
    assert place.sql("SELECT count(*) FROM audit_log WHERE action = 'directory.repaired'") == [(0,)]
    assert "1 (0 repaired)" in run(place.env, "reconcile", "--dry-run").stdout
    assert place.reconcile()["repaired"] == {**NONE, "missing": 1}


def test_a_restored_database_is_raised_above_the_bucket_and_opens_nothing(place: Place):
    """What was revoked, ended or suspended after the backup stays so; other fields are as in the backup; gateways hear of it."""
    process = place.start()
    project = place.demo["project_id"]
    revoked, rotated, fresh = place.keys[0], place.keys[1], place.keys[2]
    (secrets,) = place.sql("SELECT secrets FROM api_keys WHERE id = %s", rotated["id"])[0]
    with process.sign_in("alice@example.com") as alice:
        assert alice.delete(f"/projects/{project}/keys/{revoked['id']}").status_code == 200
        assert alice.patch(f"/projects/{project}", json={"name": "After the backup"}).status_code == 200
    bucket.wait_for(place.bus, revoked["entry"], version=2)
    bucket.wait_for(place.bus, project_entry(project), version=2)
    assert process.stop() == 0
    place.sql("UPDATE api_keys SET version = 1, status = 'active', revoked_at = NULL WHERE id = %s", revoked["id"])
    place.sql("UPDATE projects SET version = 1, name = 'As in the backup' WHERE id = %s", project)
    gone = bucket.read(place.bus, rotated["entry"]) or {}
    overlapping = [{**secrets[0], "digest": "ab" * 32}, secrets[0]]
    place.sql("UPDATE api_keys SET secrets = %s::jsonb WHERE id = %s", json.dumps(overlapping), rotated["id"])
    bucket.put(place.bus, _key_record(gone, version=4))
    found = place.reconcile()
    assert found["drift"] == found["repaired"] == {**NONE, "newer": 3}
    place.start()
    assert bucket.wait_for(place.bus, revoked["entry"], version=3)["status"] == "revoked"
    assert bucket.wait_for(place.bus, project_entry(project), version=3)["name"] == "As in the backup"
    assert bucket.wait_for(place.bus, rotated["entry"], version=5)["secrets"] == secrets
    assert bucket.wait_for(place.bus, fresh["entry"])["version"] == 1
    assert place.sql("SELECT status, version FROM api_keys WHERE id = %s", revoked["id"]) == [("revoked", 3)]


def test_limits_of_a_restored_database_outdo_those_it_does_not_know(place: Place):
    """Their versions end above the bucket's, those of end users too, so that they and later changes of them count everywhere."""
    organization, project, key = place.demo["organization_id"], place.demo["project_id"], place.keys[0]
    ((member,),) = place.sql("SELECT user_id::text FROM memberships WHERE organization_id = %s", organization)
    shapes = {
        organization_entry(organization): OrganizationRecord,
        project_entry(project): ProjectRecord,
        member_entry(organization, member): MemberRecord,
        key["entry"]: KeyRecord,
    }
    before = {entry: bucket.read(place.bus, entry) or {} for entry in shapes}
    lost = {"version": 7, "monthly_tokens": 5}
    for entry, shape in shapes.items():
        of_end_users = {"end_user_limits": {"version": 9, "daily_tokens": 5}} if shape in WITH_END_USERS else {}
        bucket.put(place.bus, msgspec.convert({**before[entry], "version": 4, "limits": lost, **of_end_users}, shape))
    unchanged = place.keys[1]
    limits = {**(bucket.read(place.bus, unchanged["entry"]) or {}), "version": 4}
    bucket.put(place.bus, msgspec.convert(limits, KeyRecord))
    assert place.reconcile()["repaired"] == {**NONE, "newer": 5}
    process = place.start()
    for entry, shape in shapes.items():
        record = bucket.wait_for(place.bus, entry, version=5)
        assert record["limits"] == {**before[entry].get("limits", {}), "version": 8}
        if shape in WITH_END_USERS:
            assert record["end_user_limits"] == {**before[entry].get("end_user_limits", {}), "version": 10}
    same = bucket.wait_for(place.bus, unchanged["entry"], version=5)
    assert same.get("limits") == limits.get("limits"), "limits that were not lost keep their version"
    with process.sign_in("alice@example.com") as alice:
        changed = alice.patch(f"/projects/{project}/keys/{key['id']}", json={"limits": {"monthly_tokens": 50}})
        assert changed.status_code == 200, changed.text
    assert bucket.wait_for(place.bus, key["entry"], version=6)["limits"] == {
        **before[key["entry"]].get("limits", {}),
        "version": 9,
        "monthly_tokens": 50,
    }


def test_a_change_made_before_the_first_look_at_a_restored_database_arrives(place: Place):
    """Its version is one that the bucket has already had for something else: the relay sees the difference and raises it."""
    key = place.keys[0]
    held = bucket.read(place.bus, key["entry"]) or {}
    bucket.put(place.bus, _key_record(held, version=2, name="Before the restore"))
    process = place.start(ACCOUNTS_RECONCILE_SECONDS="86400")
    place.sql("UPDATE api_keys SET version = 1 WHERE id = %s AND version = 3", key["id"])
    bucket.wait_for(place.bus, key["entry"], version=3)  # the look at the start has raised it already
    bucket.put(place.bus, _key_record(held, version=4, name="Also before the restore"))
    with process.sign_in("alice@example.com") as alice:
        changed = alice.patch(f"/projects/{place.demo['project_id']}/keys/{key['id']}", json={"name": "Fresh"})
    assert changed.status_code == 200
    assert bucket.wait_for(place.bus, key["entry"], version=5)["name"] == "Fresh"


def _key_record(held: dict[str, Any], **changes: Any) -> KeyRecord:
    return msgspec.convert({**held, **changes}, KeyRecord)


def test_entries_that_the_database_does_not_know_are_closed(place: Place):
    """Keys and members, projects and organizations of a future that a restore took back; once closed they are at rest."""
    organization, project, member, lookup = str(uuid4()), str(uuid4()), str(uuid4()), make_lookup()
    secret = KeySecret(pepper_version=1, digest="ab" * 32)
    common = {"organization_id": organization, "version": 3, "status": "active"}
    records = [
        KeyRecord(key_id=str(uuid4()), lookup=lookup, project_id=project, secrets=(secret,), **common),
        ProjectRecord(project_id=project, **common),
        OrganizationRecord(**common),
        MemberRecord(member_id=member, **common),
    ]
    entries = [key_entry(lookup), project_entry(project), organization_entry(organization), member_entry(organization, member)]
    for record in records:
        bucket.put(place.bus, record)
    found = place.reconcile()
    assert found["drift"] == found["repaired"] == {**NONE, "orphan": 4}
    place.start()
    for entry in entries:
        assert bucket.wait_for(place.bus, entry, version=4)["status"] == "revoked"
    place.wait_drained()
    assert place.reconcile()["drift"] == NONE


def test_the_running_service_reconciles_and_counts(place: Place):
    """Every so many seconds, by the replica that relays, with metrics."""
    process = place.start(ACCOUNTS_RECONCILE_SECONDS="1")
    bucket.forget(place.bus, organization_entry(place.demo["organization_id"]))
    assert bucket.wait_for(place.bus, organization_entry(place.demo["organization_id"]), seconds=30)["version"] == 1
    deadline = time.monotonic() + 30
    while 'accounts_directory_repairs_total{kind="missing"} 1.0' not in httpx.get(f"{process.url}/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while 'accounts_directory_drift{kind="missing"} 0.0' not in httpx.get(f"{process.url}/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_more_than_fits_into_one_round_is_filled_again(place: Place):
    """A bucket that lost very much is filled like a new one, and the reconciliation comes to rest."""
    place.sql(
        "INSERT INTO api_keys (id, project_id, organization_id, lookup, hint, name, label, secrets, tags, created_by) "
        "SELECT gen_random_uuid(), project_id, organization_id, lpad(n::text, 16, '0'), '', 'Key', 'live', secrets, '{}', created_by "
        "FROM api_keys, generate_series(1, 6000) n WHERE id = %s",
        place.keys[0]["id"],
    )
    found = place.reconcile(code=3)
    assert found["more"]
    assert found["repaired"]["missing"] == 5000
    place.start()
    deadline = time.monotonic() + 60
    while bucket.count(place.bus, "key.>") < 6005:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    place.wait_drained()
    assert place.reconcile()["drift"] == NONE


def test_a_fresh_change_is_never_taken_for_drift(place: Place):
    """While somebody reconciles again and again, changes arrive, once each, and no version is raised but by them."""
    process = place.start()
    changes = 60

    async def race() -> list[dict[str, int]]:
        bus = AccountsBus(place.bus.url, place.bus.passwords["accounts"])
        engine = open_engine(database_url(place.database.url("accounts"), place.database.passwords["accounts"]))
        connecting = asyncio.create_task(bus.run())
        try:
            await bus.wait_connected(20)
            changing = asyncio.create_task(asyncio.to_thread(_change_all, process, place, changes))
            drifts = []
            while not changing.done():
                found = await asyncio.gather(*(reconcile_directory(engine, DirectoryBucket(bus)) for _ in range(2)))
                drifts += [dict(one.drift) for one in found if one]
            await changing
            return drifts
        finally:
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                await connecting
            await bus.close()
            await engine.dispose()

    drifts = bucket.in_loop(race)
    assert len(drifts) > 2
    assert [drift for drift in drifts if drift != NONE] == []
    for key in place.keys:
        held = bucket.wait_for(place.bus, key["entry"], version=1 + changes)
        assert (held["version"], held["name"]) == (1 + changes, f"Name {changes - 1}")


def _change_all(process: AccountsProcess, place: Place, changes: int) -> None:
    with process.sign_in("alice@example.com") as alice:
        for number in range(changes):
            for key in place.keys:
                path = f"/projects/{place.demo['project_id']}/keys/{key['id']}"
                assert alice.patch(path, json={"name": f"Name {number}"}).status_code == 200
