"""An accounts service with four identity providers, each of another kind."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest

from devstack.servers.ports import free_port
from devstack.servers.postgres import PostgresServer
from tests.integration.accounts.oidc.browser import Browser
from tests.integration.accounts.oidc.provider import Provider, require_node
from tests.integration.accounts.process import AccountsProcess, environment, run, seed
from tests.servers import fixtures

KINDS = {
    "company": {"authentication": "client_secret_basic", "signing": "RS256", "claims_in_id_token": False},
    "partner": {"authentication": "client_secret_post", "signing": "ES256", "claims_in_id_token": True},
    "trusted": {"authentication": "client_secret_basic", "signing": "PS256", "claims_in_id_token": True},
    "moody": {"authentication": "client_secret_basic", "signing": "EdDSA", "claims_in_id_token": True},
}


@dataclass(frozen=True)
class Installation:
    """A running service, its providers, an organization of Olga's, who owns it, and an operator who belongs to none."""

    process: AccountsProcess
    env: dict[str, str]
    database: fixtures.Database
    bus: fixtures.Bus
    providers: dict[str, Provider]
    organization_id: str
    owner_id: str
    owner: httpx.Client
    operator: httpx.Client

    def browser(self) -> Browser:
        """A fresh one."""
        return Browser(self.process.url)

    def map_domain(self, domain: str, provider: str = "company", default_role: str | None = "developer") -> str:
        """Map a domain to Olga's organization; the domain."""
        body = {"provider": provider, "default_role": default_role}
        put = self.operator.put(f"/organizations/{self.organization_id}/domains/{domain}", json=body)
        assert put.status_code == 200, put.text
        return domain

    def map_group(self, group: str, role: str, provider: str = "company") -> None:
        """Give a group a role in Olga's organization."""
        body = {"provider": provider, "group": group, "role": role}
        put = self.owner.put(f"/organizations/{self.organization_id}/group-roles", json=body)
        assert put.status_code == 200, put.text

    def member(self, user_id: str) -> dict[str, Any] | None:
        """What the owner sees of a member of Olga's organization."""
        shown = self.owner.get(f"/organizations/{self.organization_id}/members/{user_id}")
        return shown.json() if shown.status_code == 200 else None

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database says."""
        with psycopg.connect(self.database.conninfo("accounts"), autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def as_bearer(self, answer: httpx.Response) -> httpx.Client:
        """A client with the tokens of a sign-in; the test closes it."""
        assert answer.status_code == 200, answer.text
        headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
        return httpx.Client(base_url=f"{self.process.url}/api/v1", headers=headers, timeout=30)

    def user_of(self, answer: httpx.Response) -> str:
        """The id of the user who has signed in."""
        with self.as_bearer(answer) as client:
            return client.get("/auth/me").json()["user_id"]

    def said_of_sign_ins(self, email: str) -> list[dict[str, Any]]:
        """What the audit log says of refused sign-ins with this address."""
        sql = "SELECT after FROM accounts.audit_log WHERE action = 'auth.sign_in_refused' AND after->>'email' = %s ORDER BY id"
        return [after for (after,) in self.rows(sql, email)]


@pytest.fixture(scope="session")
def installation(
    postgres_server: PostgresServer, database_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The service and its providers; kill none of them but the provider `moody`, and start that one again."""
    require_node()
    folder, port = tmp_path_factory.mktemp("oidc"), free_port()
    public_url = f"http://127.0.0.1:{port}"
    providers = {name: Provider(folder, name, **kind) for name, kind in KINDS.items()}
    configs = [each.config(allow_unverified_email=each.name == "trusted") for each in providers.values()]
    database = fixtures.make_database(postgres_server, database_passwords)
    with ExitStack() as stack:
        for name, each in providers.items():
            each.settings["client"]["redirects"] = [f"{public_url}/api/v1/auth/oidc/{name}/callback"]
            stack.callback(each.kill)
            each.start()
        bus = fixtures.Bus(stack.enter_context(fixtures.make_nats(folder / "nats")))
        bus.provision()
        env = environment(
            database,
            bus,
            ACCOUNTS_PUBLIC_URL=public_url,
            ACCOUNTS_OIDC_PROVIDERS=json.dumps(configs),
            ACCOUNTS_OIDC_SECRETS=json.dumps({name: each.secret for name, each in providers.items()}),
        )
        assert run(env, "migrate").returncode == 0
        _, olga = seed(env, "opera@example.com", "Operators"), seed(env, "olga@example.com", "Olgas")  # the first one is operator
        process = AccountsProcess(env, folder, port).start()
        stack.callback(lambda: process.kill() if process.running else None)
        owner = stack.enter_context(process.sign_in("olga@example.com"))
        operator = stack.enter_context(process.sign_in("opera@example.com"))
        yield Installation(process, env, database, bus, providers, olga["organization_id"], olga["user_id"], owner, operator)
        assert process.stop() == 0, "SIGTERM ends in a clean exit"
    fixtures.drop_database(database)


@pytest.fixture
def domain() -> str:
    """A domain that no other test has."""
    return f"{secrets.token_hex(6)}.example.org"


@pytest.fixture
def make_browser(installation: Installation) -> Iterator[Callable[[], Browser]]:
    """Makes browsers, closed at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(installation.browser())


@pytest.fixture
def browser(make_browser: Callable[[], Browser]) -> Browser:
    """One of them."""
    return make_browser()
