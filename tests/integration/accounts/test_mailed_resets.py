"""Links for new passwords by mail."""

from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest

from tests.integration.accounts.mailbox import Mailbox, open_mailbox
from tests.integration.accounts.process import AccountsProcess, seed
from tests.servers.fixtures import Database

EMAIL = "alice@example.com"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """Where the mail goes."""
    with open_mailbox() as made:
        yield made


@pytest.fixture
def process(migrated: dict[str, str], mailbox: Mailbox, start_accounts: Callable[..., AccountsProcess]) -> AccountsProcess:
    """A service that sends mail."""
    seed(migrated, EMAIL)
    return start_accounts({**migrated, **mailbox.env, "ACCOUNTS_PUBLIC_URL": "https://codexflow.example.com/"})


def _ask(process: AccountsProcess, email: str) -> int:
    return httpx.post(f"{process.url}/api/v1/auth/password-reset", json={"email": email}).status_code


def test_who_forgot_their_password_gets_a_link(process: AccountsProcess, mailbox: Mailbox, database: Database):
    """To the address on record, whatever its case when asked; strangers get none, and nobody more than three in an hour."""
    with psycopg.connect(database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute("INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'oidc@example.com')")
    assert _ask(process, "stranger@example.com") == 202
    assert _ask(process, "oidc@example.com") == 202
    for _ in range(5):
        assert _ask(process, EMAIL.upper()) == 202
    text = mailbox.wait_for(EMAIL, 3)[2].get_content()
    token = text.partition("https://codexflow.example.com/reset-password#token=")[2].split()[0]
    body = {"token": token, "new_password": "another one"}
    assert httpx.post(f"{process.url}/api/v1/auth/password-reset/confirm", json=body).status_code == 204
    login = {"email": EMAIL, "password": "another one"}
    assert httpx.post(f"{process.url}/api/v1/auth/login", json=login).status_code == 200
    assert process.stop() == 0, "whatever was under way has ended"
    assert [to for to, _ in mailbox.mails] == [EMAIL] * 3
    assert token not in process.log.read_text()


def test_an_operators_link_is_mailed_too_and_a_dead_mail_server_is_said(process: AccountsProcess, mailbox: Mailbox):
    """`mailed` is true when a mail server has taken it; else the operator still has the link."""
    with process.sign_in(EMAIL) as alice:
        user = alice.post("/users", json={"email": "carol@example.com"}).json()
        offered = alice.post(f"/users/{user['id']}/password-reset").json()
        assert offered["mailed"] is True
        assert offered["link"] in mailbox.wait_for("carol@example.com")[0].get_content()
        mailbox.refusing = True
        refused = alice.post(f"/users/{user['id']}/password-reset")
    assert (refused.status_code, refused.json()["mailed"]) == (201, False)
    assert refused.json()["link"] != offered["link"]
