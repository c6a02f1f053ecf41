"""The database keeps the audit log from being rewritten, by the service's role and by everybody."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors

from common.contracts.identifiers import uuid7
from tests.checkout import ROOT
from tests.integration.accounts.process import AccountsProcess, environment, run, seed
from tests.servers.fixtures import Bus, Database

REWRITES = (
    "UPDATE audit_log SET actor_name = 'nobody'",
    "UPDATE audit_log SET actor_name = 'nobody' WHERE false",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
)
INSERT = (
    "INSERT INTO audit_log (id, actor_kind, actor_name, action, object_kind, address, agent, request_id{more})"
    " VALUES (%s, 'system', 'test', 'directory.repaired', 'directory', '', '', ''{values})"
)
WARNING = "owns the audit log"


def documented(mark: str) -> str:
    """The statements that the documentation gives."""
    page = (ROOT / "docs/DEPLOYMENT.md").read_text()
    return page.split(f"<!-- {mark} -->")[1].split("```sql")[1].split("```")[0]


def count(connection: psycopg.Connection) -> int:
    (found,) = connection.execute("SELECT count(*) FROM audit_log").fetchone()
    return found


@pytest.mark.parametrize("statement", REWRITES)
@pytest.mark.parametrize("role", ["accounts", "accounts_owner"])
def test_nobody_rewrites_the_log(migrated: dict[str, str], database: Database, role: str, statement: str):
    """The service's role has no privilege, the owner is refused by the trigger; the lines stay."""
    seed(migrated, "alice@example.com")
    with psycopg.connect(database.conninfo(role), autocommit=True) as connection:
        before = count(connection)
        assert before > 0
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)
        assert count(connection) == before


def test_the_superuser_is_refused_too(migrated: dict[str, str], database: Database):
    """Even where triggers are switched off for replicas."""
    with pytest.raises(RuntimeError, match="audit_log is append-only"):
        database.server.run_sql("SET session_replication_role = replica; DELETE FROM accounts.audit_log", database=database.name)


def test_the_services_role_only_adds_and_reads(migrated: dict[str, str], database: Database):
    """It may write a line, at the database's time and no other; it can neither drop the trigger nor take the table."""
    with psycopg.connect(database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute(INSERT.format(more="", values=""), [uuid7()])
        assert count(connection) == 1
        for statement in (
            "ALTER TABLE audit_log DISABLE TRIGGER append_only",
            "DROP TRIGGER append_only ON audit_log",
            "DROP TABLE audit_log",
            "ALTER TABLE audit_log OWNER TO accounts",
            "SET ROLE accounts_owner",
            "CREATE TABLE another (n int)",
            "DELETE FROM alembic_version",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(INSERT.format(more=", at", values=", '2020-01-01'"), [uuid7()])


def test_the_services_role_may_use_every_other_table(migrated: dict[str, str], database: Database):
    """Read, add to, change and delete from it; also after migrating again."""
    assert run(migrated, "migrate").returncode == 0
    with psycopg.connect(database.conninfo("accounts")) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'accounts'").fetchall()
        others = {name for (name,) in tables} - {"audit_log", "alembic_version"}
        assert len(others) > 20
        for name in others:
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                (granted,) = connection.execute("SELECT has_table_privilege(%s, %s)", [name, right]).fetchone()
                assert granted, f"{right} on {name}"


def test_a_right_that_was_given_by_mistake_is_taken_by_the_next_migration(migrated: dict[str, str], database: Database):
    """Whatever else the service's role had on the log."""
    with psycopg.connect(database.conninfo("accounts_owner"), autocommit=True) as owner:
        owner.execute("GRANT ALL ON audit_log TO accounts")
        assert run(migrated, "migrate").returncode == 0
        granted = "SELECT has_table_privilege('accounts', 'audit_log', 'UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')"
        assert owner.execute(granted).fetchone() == (False,)


def test_an_operator_prunes_as_the_documentation_says(migrated: dict[str, str], database: Database):
    """The owner switches the trigger off for one transaction."""
    with psycopg.connect(database.conninfo("accounts_owner"), autocommit=True) as owner:
        for age in ("1 day", "10 years"):
            owner.execute(INSERT.format(more=", at", values=f", now() - interval '{age}'"), [uuid7()])
        owner.execute(documented("prune"))
        assert count(owner) == 1
        with pytest.raises(errors.InsufficientPrivilege):
            owner.execute("DELETE FROM audit_log")


def test_one_role_for_both_works_is_warned_of_and_can_be_parted(
    database: Database, bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """A service that owns its schema starts and says what is missing; the trigger holds all the same, and two roles are made of one."""
    database.server.run_sql("ALTER SCHEMA accounts OWNER TO accounts", database=database.name)
    both = environment(database, bus)
    alone = {name: value for name, value in both.items() if not name.startswith("ACCOUNTS_OWNER_")}
    assert run(alone, "migrate").returncode == 0
    seed(alone, "alice@example.com")
    process = start_accounts(alone)
    assert process.stop() == 0
    assert WARNING in process.log.read_text()
    with psycopg.connect(database.conninfo("accounts"), autocommit=True) as connection:
        with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
            connection.execute("DELETE FROM audit_log")
        database.server.run_sql(documented("part"), database=database.name)
        assert run(both, "migrate").returncode == 0
        with pytest.raises(errors.InsufficientPrivilege, match="permission denied"):
            connection.execute("DELETE FROM audit_log")
    parted = start_accounts(both)
    with parted.sign_in("alice@example.com") as alice:
        assert alice.get("/auth/me").status_code == 200
    assert WARNING not in parted.log.read_text()


def test_a_role_that_may_only_add_is_not_warned_of(migrated: dict[str, str], start_accounts: Callable[..., AccountsProcess]):
    """The log is silent about it."""
    process = start_accounts(migrated)
    assert WARNING not in process.log.read_text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ACCOUNTS_OWNER_DATABASE_PASSWORD": None}, "ACCOUNTS_OWNER_DATABASE_PASSWORD: set it"),
        ({"ACCOUNTS_OWNER_DATABASE_URL": None, "ACCOUNTS_DATABASE_PASSWORD": None}, "ACCOUNTS_DATABASE_PASSWORD: set it"),
        (
            {"ACCOUNTS_OWNER_DATABASE_URL": "postgresql://a:b@h/d"},
            "ACCOUNTS_OWNER_DATABASE_URL: give the password in ACCOUNTS_OWNER",
        ),
    ],
)
def test_half_an_owner_is_refused_with_one_sentence(migrated: dict[str, str], change: dict[str, str | None], sentence: str):
    """It names the variable."""
    env = {name: value for name, value in {**migrated, **change}.items() if value is not None}
    done = run(env, "migrate")
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)


def test_migrating_for_a_role_that_is_not_there_is_refused(migrated: dict[str, str]):
    """The sentence names the role."""
    url = migrated["ACCOUNTS_DATABASE_URL"].replace("accounts@", "nobody_here@")
    done = run({**migrated, "ACCOUNTS_DATABASE_URL": url}, "migrate")
    assert done.returncode == 2
    assert "the role nobody_here is missing" in done.stderr
