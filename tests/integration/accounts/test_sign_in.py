"""Signing in and the tokens that come of it."""

import time

import httpx
import jwt
import pytest

from accounts.outbound.token_signer import TokenSigner
from common.contracts.access_tokens import Identity, InvalidToken, verify
from tests.integration.accounts.conftest import Service


def test_a_token_verifies_offline_and_names_the_roles(accounts: Service):
    """Another service needs the key set and nothing else to know who is calling."""
    answer = httpx.post(f"{accounts.process.url}/api/v1/auth/login", json={"email": "ALICE@example.com", "password": "password"})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    keys = jwt.PyJWKSet.from_dict(httpx.get(f"{accounts.process.url}/.well-known/jwks.json").json())
    identity = verify(body["access_token"], keys)
    assert identity.user_id == accounts.alice_seed["user_id"]
    assert identity.roles[accounts.alice_seed["organization_id"]] == "owner"
    assert accounts.bob_seed["organization_id"] not in identity.roles


def test_unknown_email_and_wrong_password_get_the_same_answer(accounts: Service):
    """The answer does not tell whether somebody has an account."""
    answers = [
        httpx.post(f"{accounts.process.url}/api/v1/auth/login", json={"email": email, "password": "wrong"})
        for email in ("alice@example.com", "nobody@example.com")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["content-type"] == "application/problem+json"


def test_guessing_is_slowed_down(accounts: Service):
    """After five wrong passwords one waits, as Retry-After says, whatever the password; other emails are not concerned."""
    body = {"email": "victim@example.com", "password": "guess"}
    answers = [httpx.post(f"{accounts.process.url}/api/v1/auth/login", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 32
    accounts.process.sign_in("bob@example.com").close()


@pytest.mark.parametrize("body", [{"email": "a@b.c"}, {"email": "a@b.c", "password": 5}, {"email": "a\0b@c.d", "password": "x"}])
def test_a_wrong_body_is_refused_without_echo(accounts: Service, body: dict[str, object]):
    """The field is named, its value is not repeated: it may be a password."""
    answer = httpx.post(f"{accounts.process.url}/api/v1/auth/login", json=body | {"extra": "hunter2"})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    assert {"field": "extra", "message": "Extra inputs are not permitted"} in answer.json()["errors"]


def _signer(seed: str = "cd" * 32, lifetime: int = 900) -> TokenSigner:
    return TokenSigner(bytes.fromhex(seed), lifetime)


def test_expired_tampered_and_foreign_tokens_are_refused(accounts: Service):
    """One answer for all of them."""
    url = f"{accounts.process.url}/api/v1/organizations"
    signed_in = httpx.post(
        f"{accounts.process.url}/api/v1/auth/login", json={"email": "alice@example.com", "password": "password"}
    ).json()
    identity = Identity(user_id=accounts.alice_seed["user_id"], session_id=signed_in["session_id"])
    good = _signer().sign(identity)
    header, payload, signature = good.split(".")
    unsigned = jwt.encode({"sub": identity.user_id}, None, algorithm="none")
    tokens = [
        _signer().sign(identity, now=time.time() - 901),
        f"{header}.{payload[:-4]}AAAA.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        _signer("ee" * 32).sign(identity),
        unsigned,
        "nonsense",
        _signer().sign(Identity(user_id=identity.user_id)),
        _signer().sign(Identity(user_id=accounts.bob_seed["user_id"], session_id=signed_in["session_id"])),
    ]
    assert httpx.get(url, headers={"authorization": f"Bearer {good}"}).status_code == 200
    answers = [httpx.get(url, headers={"authorization": f"Bearer {token}"}) for token in tokens]
    assert [answer.status_code for answer in answers] == [401] * len(tokens)
    assert len({answer.text for answer in answers}) == 1


def test_a_token_of_another_signer_does_not_verify():
    """The key set decides, not what the token says of itself."""
    with pytest.raises(InvalidToken):
        verify(_signer("ee" * 32).sign(Identity(user_id="x")), _signer().keys)
