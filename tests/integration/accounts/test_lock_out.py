"""Guessing of passwords: slowed down, and of no use for locking somebody out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from accounts.outbound.database import database_url, open_engine
from accounts.use_cases.forget_leftovers import forget_sign_ins
from tests.integration.accounts import bucket
from tests.integration.accounts.process import AccountsProcess, seed
from tests.servers.fixtures import Database

EMAIL = "alice@example.com"
PASSWORD = "password"
HOME = "203.0.113.1"


@dataclass
class Gate:
    """Signing in from wherever one says, behind a proxy that is trusted."""

    process: AccountsProcess
    database: Database

    def sign_in(self, address: str, password: str = PASSWORD, email: str = EMAIL) -> httpx.Response:
        return httpx.post(
            f"{self.process.url}/api/v1/auth/login",
            json={"email": email, "password": password},
            headers={"x-forwarded-for": address},
            timeout=60,
        )

    def guess_everywhere(self, email: str = EMAIL) -> list[int]:
        """From six addresses, five times each."""
        return [self.sign_in(f"198.51.100.{host}", "guess", email).status_code for host in range(6) for _ in range(5)]

    def let_pass(self, minutes: int) -> None:
        """Move what has been counted into the past."""
        with psycopg.connect(self.database.conninfo("accounts"), autocommit=True) as connection:
            connection.execute(
                "UPDATE login_failures SET since = since - %s * interval '1 minute', last_at = last_at - %s * interval '1 minute'",
                [minutes, minutes],
            )


@pytest.fixture
def gate(migrated: dict[str, str], database: Database, start_accounts: Callable[..., AccountsProcess]) -> Gate:
    """A service of the test's own with one user."""
    seed(migrated, EMAIL)
    return Gate(start_accounts({**migrated, "ACCOUNTS_TRUSTED_PROXIES": "127.0.0.1/32"}), database)


def test_a_victim_signs_in_from_where_they_are_known(gate: Gate):
    """While guesses from many addresses have closed the email to all others, for a quarter of an hour at most."""
    assert gate.sign_in(HOME).status_code == 200
    assert gate.guess_everywhere() == [401] * 20 + [429] * 10
    assert gate.sign_in(HOME).status_code == 200
    elsewhere = gate.sign_in("192.0.2.9")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(elsewhere.headers["retry-after"]) <= 900
    gate.let_pass(15)
    assert gate.sign_in("192.0.2.9").status_code == 200


def test_a_victim_who_is_known_nowhere_gets_in_by_a_new_password(gate: Gate):
    """Whoever opens the link is no guesser, wherever they are."""
    with gate.process.sign_in(EMAIL) as alice:
        carol = alice.post("/users", json={"email": "carol@example.com", "password": "password"}).json()
        assert gate.guess_everywhere("carol@example.com")[-1] == 429
        assert gate.sign_in("192.0.2.9", email="carol@example.com").status_code == 429
        token = alice.post(f"/users/{carol['id']}/password-reset").json()["link"].partition("#token=")[2]
    confirmed = httpx.post(
        f"{gate.process.url}/api/v1/auth/password-reset/confirm",
        json={"token": token, "new_password": "another one"},
        headers={"x-forwarded-for": "192.0.2.9"},
    )
    assert confirmed.status_code == 204
    assert gate.sign_in("192.0.2.9", "another one", "carol@example.com").status_code == 200


def test_the_same_happens_to_an_email_that_nobody_has(gate: Gate):
    """So that guessing does not tell who has an account."""
    assert gate.guess_everywhere("nobody@example.com") == gate.guess_everywhere()


def test_guesses_at_the_same_moment_are_not_fewer(gate: Gate):
    """Of nine at once from one address five are looked at."""
    with ThreadPoolExecutor(9) as threads:
        answers = list(threads.map(lambda _: gate.sign_in("198.51.100.7", "guess"), range(9)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 4


def test_a_success_forgives(gate: Gate):
    """What was mistyped before counts no longer, and the email's count has one attempt less."""
    for place in ("192.0.2.7", "192.0.2.8", "192.0.2.9"):
        assert [gate.sign_in(place, "typo").status_code for _ in range(4)] == [401] * 4
        assert gate.sign_in(place).status_code == 200
    with psycopg.connect(gate.database.conninfo("accounts")) as connection:
        assert connection.execute("SELECT address, failures FROM login_failures").fetchall() == [("*", 12)]


def test_the_audit_log_tells_who_was_locked_out(gate: Gate):
    """With the last attempt before the wait; attempts that nobody looked at do not fill the log."""
    answers = [gate.sign_in("198.51.100.7", "guess").status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]
    with psycopg.connect(gate.database.conninfo("accounts")) as connection:
        query = "SELECT after FROM audit_log WHERE action = 'auth.sign_in_refused' ORDER BY at, id"
        found = [after for (after,) in connection.execute(query)]
    assert found[:4] == [{"reason": "password"}] * 4
    assert found[4:] == [{"reason": "password", "closed_seconds": 32}]


def test_what_is_no_longer_needed_is_forgotten(gate: Gate):
    """A count that did not change for a day, and an address unused for 90 days; younger ones stay."""
    for place in ("192.0.2.7", "192.0.2.8"):
        assert gate.sign_in(place).status_code == 200
        assert gate.sign_in(place, "typo").status_code == 401
    with psycopg.connect(gate.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute("UPDATE login_failures SET last_at = now() - interval '25 hours' WHERE address = '192.0.2.7'")
        connection.execute("UPDATE known_addresses SET last_at = now() - interval '91 days' WHERE address = '192.0.2.7'")

        async def forget() -> int:
            engine = open_engine(database_url(gate.database.url("accounts"), gate.database.passwords["accounts"]))
            try:
                return await forget_sign_ins(engine)
            finally:
                await engine.dispose()

        assert bucket.in_loop(forget) == 2
        failures = connection.execute("SELECT address FROM login_failures ORDER BY address").fetchall()
        assert sorted(failures) == [("*",), ("192.0.2.8",)]
        assert ("192.0.2.7",) not in connection.execute("SELECT address FROM known_addresses").fetchall()
        assert ("192.0.2.8",) in connection.execute("SELECT address FROM known_addresses").fetchall()


def test_refusals_are_audited_without_the_password(gate: Gate):
    """Who was meant, from where, and why not; the email as it was typed."""
    typed = "Alice@Example.com"
    assert gate.sign_in(HOME, "hunter2-secret", typed).status_code == 401
    assert gate.sign_in(HOME, "hunter2-secret", "nobody@example.com").status_code == 401
    with psycopg.connect(gate.database.conninfo("accounts")) as connection:
        query = "SELECT actor_kind, actor_name, address, object_id, after FROM audit_log WHERE action = 'auth.sign_in_refused' ORDER BY id"
        found = connection.execute(query).fetchall()
        everything = str(connection.execute("SELECT * FROM audit_log").fetchall())
    assert [row[:3] for row in found] == [("anonymous", typed, HOME), ("anonymous", "nobody@example.com", HOME)]
    assert [row[4] for row in found] == [{"reason": "password"}, {"reason": "unknown"}]
    assert found[0][3] is not None
    assert found[1][3] is None
    assert "hunter2" not in everything + gate.process.log.read_text()
