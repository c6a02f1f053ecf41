"""The first user of an empty installation."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.process import AccountsProcess
from tests.servers.fixtures import Bus

TOKEN = "the-setup-token-of-this-test"
BODY = {"token": TOKEN, "email": "first@example.com", "password": "password", "name": "First", "organization": "Acme"}


def _bootstrap(process: AccountsProcess, **changes: object) -> httpx.Response:
    return httpx.post(f"{process.url}/api/v1/bootstrap", json=BODY | changes, timeout=60)


def test_the_first_user_runs_the_installation_and_owns_an_organization(
    migrated: dict[str, str], bus: Bus, start_accounts: Callable[..., AccountsProcess]
):
    """Only with the setup token; afterwards never again, with none."""
    process = start_accounts({**migrated, "ACCOUNTS_BOOTSTRAP_TOKEN": TOKEN})
    assert _bootstrap(process, token="another").status_code == 401
    assert _bootstrap(process, password="first@example.com").status_code == 422
    made = _bootstrap(process)
    assert made.status_code == 201, made.text
    assert (made.json()["email"], made.json()["organization_name"]) == ("first@example.com", "Acme")
    with process.sign_in("first@example.com") as client:
        me = client.get("/auth/me").json()
    assert (me["operator"], me["name"], me["roles"]) == (True, "First", {made.json()["organization_id"]: "owner"})
    assert bucket.wait_for(bus, f"organization.{made.json()['organization_id']}")["status"] == "active"
    assert _bootstrap(process, email="second@example.com").status_code == 409
    assert _bootstrap(process, token="another").status_code == 401, "strangers learn nothing"
    assert TOKEN not in process.log.read_text()


def test_of_many_first_users_one_is_the_first(migrated: dict[str, str], start_accounts: Callable[..., AccountsProcess]):
    """Also when they ask at the same moment, and two replicas."""
    replicas = [start_accounts({**migrated, "ACCOUNTS_BOOTSTRAP_TOKEN": TOKEN}) for _ in range(2)]
    with ThreadPoolExecutor(6) as threads:
        asks = [threads.submit(_bootstrap, replicas[number % 2], email=f"user-{number}@example.com") for number in range(6)]
        statuses = sorted(ask.result().status_code for ask in asks)
    assert statuses == [201] + [409] * 5


def test_without_a_setup_token_it_is_closed(accounts: Service):
    """Like a path that is not there; an empty one opens nothing."""
    assert _bootstrap(accounts.process).status_code == 404
    assert _bootstrap(accounts.process, token="").status_code == 422
