"""The rate limit of the management API, as its clients meet it."""

import re
from collections.abc import Callable

import httpx
import psycopg
import pytest

from tests.integration.accounts.people import People
from tests.integration.accounts.process import AccountsProcess
from tests.servers.fixtures import Database

LIMIT = 20


@pytest.fixture
def limited(migrated: dict[str, str], start_accounts: Callable[..., AccountsProcess]) -> AccountsProcess:
    """A service with a small limit; it needs no bus to answer."""
    env = {**migrated, "ACCOUNTS_REQUESTS_PER_MINUTE": str(LIMIT), "ACCOUNTS_TRUSTED_PROXIES": "127.0.0.1/32"}
    return start_accounts(env, wait_ready=False)


def until_refused(ask: Callable[[], httpx.Response]) -> tuple[int, httpx.Response]:
    """How many were answered before the first refusal, and that. On a slow machine some come back while they are spent."""
    for count in range(50 * LIMIT):
        answer = ask()
        if answer.status_code == 429:
            return count, answer
    raise AssertionError("never refused")


def test_who_asks_too_often_is_told_when_to_come_back(limited: AccountsProcess, database: Database):
    """By whatever token; others are not touched, nor are health and the key set."""
    with (
        psycopg.connect(database.conninfo("accounts"), autocommit=True) as connection,
        httpx.Client(base_url=f"{limited.url}/api/v1", timeout=60) as client,
    ):
        people = People(connection, client)
        busy, quiet = people.make(), people.make()
        first = busy.get("/auth/me")
        assert first.headers["ratelimit-policy"] == f'"management";q={LIMIT};w=60'
        assert re.fullmatch(rf'"management";r={LIMIT - 1};t=\d', first.headers["ratelimit"])
        count, refused = until_refused(lambda: busy.get("/auth/me"))
        assert count >= LIMIT - 1
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "too_many_requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 60 / LIMIT
        assert re.fullmatch(r'"management";r=0;t=\d+', refused.headers["ratelimit"])
        assert "x-request-id" in refused.headers
        until_refused(lambda: people.scoped(busy, "keys.read").get("/auth/me"))
        assert quiet.get("/auth/me").status_code == 200
        for path in ("/healthz", "/metrics", "/.well-known/jwks.json"):
            for _ in range(LIMIT + 5):
                answer = client.get(f"{limited.url}{path}")
                assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)
        assert re.search(r'accounts_limited_requests_total\{caller="known"\} [1-9]', client.get(f"{limited.url}/metrics").text)


@pytest.mark.parametrize(
    ("address", "neighbour", "stranger"),
    [("203.0.113.7", "203.0.113.7", "203.0.113.8"), ("2001:db8:1:2::1", "2001:db8:1:2:3::4", "2001:db8:1:3::1")],
)
def test_the_anonymous_are_counted_by_their_address(limited: AccountsProcess, address: str, neighbour: str, stranger: str):
    """Also those with a wrong token; an IPv6 address with its whole /64."""
    with httpx.Client(base_url=f"{limited.url}/api/v1", timeout=60) as client:

        def ask(forwarded: str) -> httpx.Response:
            return client.get("/auth/me", headers={"x-forwarded-for": forwarded, "authorization": "Bearer nonsense"})

        assert ask(address).status_code == 401
        until_refused(lambda: ask(address))
        until_refused(lambda: ask(neighbour))
        assert ask(stranger).status_code == 401
        metrics = client.get(f"{limited.url}/metrics").text
        assert re.search(r'accounts_limited_requests_total\{caller="anonymous"\} [1-9]', metrics)


def test_without_a_limit_nothing_is_said_of_it(migrated: dict[str, str], start_accounts: Callable[..., AccountsProcess]):
    """0 turns it off."""
    process = start_accounts({**migrated, "ACCOUNTS_REQUESTS_PER_MINUTE": "0"}, wait_ready=False)
    with httpx.Client(base_url=f"{process.url}/api/v1", timeout=60) as client:
        answers = [client.get("/auth/me") for _ in range(650)]
    assert {(answer.status_code, "ratelimit" in answer.headers) for answer in answers} == {(401, False)}
