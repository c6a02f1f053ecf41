"""Filling the bucket: everything that is announced comes back, and in a new shape under new versions."""

import time
from collections.abc import Callable
from uuid import uuid4

import psycopg

from accounts.domain.objects import SHAPE
from common.contracts.directory import member_entry, organization_entry
from tests.integration.accounts import bucket
from tests.integration.accounts.process import AccountsProcess, run, seed
from tests.servers.fixtures import Bus, Database


def test_members_and_service_accounts_come_back_and_are_counted(
    migrated: dict[str, str], database: Database, bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """A key with an owner is closed until the owner's record is there: the manifest vouches for those too."""
    demo = seed(migrated, "alice@example.com")
    organization, user = demo["organization_id"], demo["user_id"]
    with psycopg.connect(database.conninfo("accounts")) as connection:
        robots = [str(uuid4()) for _ in range(3)]
        for number, robot in enumerate(robots):
            connection.execute(
                "INSERT INTO service_accounts (id, organization_id, name, role, created_by, status) VALUES (%s, %s, %s, %s, %s, %s)",
                (robot, organization, f"Robot {number}", "developer", user, "ended" if number == 0 else "active"),
            )
    start_accounts(migrated)
    first = bucket.wait_for(bus, "manifest", name="generation")
    bucket.delete_bucket(bus)
    bus.provision()
    manifest = bucket.wait_for(bus, "manifest", name="generation", version=first["generation"] + 1)
    assert manifest["members"] == first["members"] == 4
    alice = bucket.read(bus, member_entry(organization, user))
    assert (alice["status"], alice.get("kind", "member")) == ("active", "member")
    statuses = [bucket.read(bus, member_entry(organization, robot))["status"] for robot in robots]
    assert statuses == ["revoked", "active", "active"]


def test_records_of_another_shape_are_outdone(
    migrated: dict[str, str], database: Database, bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """After an upgrade that says more in its records every object is announced once more, under a higher version."""
    demo = seed(migrated, "alice@example.com")
    old = start_accounts(migrated)
    generation = bucket.wait_for(bus, "manifest", name="generation")["generation"]
    assert old.stop() == 0
    entries = [organization_entry(demo["organization_id"]), member_entry(demo["organization_id"], demo["user_id"])]
    assert [bucket.wait_for(bus, entry)["version"] for entry in entries] == [1, 1]
    with psycopg.connect(database.conninfo("accounts")) as connection:
        connection.execute("UPDATE directory_state SET shape = %s", [SHAPE - 1])
    start_accounts(migrated)
    bucket.wait_for(bus, "manifest", name="generation", version=generation + 1)
    assert [bucket.read(bus, entry)["version"] for entry in entries] == [2, 2]
    assert run(migrated, "republish").returncode == 0
    assert [bucket.read(bus, entry)["version"] for entry in entries] == [2, 2]


def test_every_row_is_read_once_whatever_the_size_of_a_chunk(
    migrated: dict[str, str], database: Database, bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """Members are ordered by two identifiers; more of them than one chunk holds arrive all."""
    demo = seed(migrated, "alice@example.com")
    with psycopg.connect(database.conninfo("accounts")) as connection:
        connection.execute(
            "INSERT INTO users (id, email) SELECT gen_random_uuid(), 'person' || n || '@example.com' FROM generate_series(1, 1200) n"
        )
        connection.execute(
            "INSERT INTO memberships (user_id, organization_id, role) SELECT id, %s, 'viewer' FROM users WHERE email LIKE 'person%%'",
            [demo["organization_id"]],
        )
    start_accounts(migrated)
    manifest = bucket.wait_for(bus, "manifest", name="generation", seconds=60)
    assert manifest["members"] == 1201
    deadline = time.monotonic() + 20
    while bucket.count(bus, "member.>") < 1201:
        assert time.monotonic() < deadline
        time.sleep(0.1)
