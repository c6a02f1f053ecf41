"""What a provider publishes is believed only where it can be; the wire is played by hand, for a certified provider does no wrong."""

import json
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from accounts.domain.oidc import ProviderConfig
from accounts.outbound.identity_provider import IdentityProvider, ProviderAway, SignInInvalid
from accounts.outbound.json_documents import LARGEST_ANSWER

ISSUER = "https://id.example.com/realm"
CONFIG = ProviderConfig(name="company", issuer=ISSUER, client_id="codexflow")
DISCOVERY = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "authorization_response_iss_parameter_supported": True,
}
KEY = ec.generate_private_key(ec.SECP256R1())
KEY_SET = {"keys": [{**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "1"}]}
CLAIMS = {"iss": ISSUER, "sub": "ada", "aud": "codexflow", "iat": 1, "exp": 2**33, "nonce": "n"}
ID_TOKEN = jwt.encode(CLAIMS, KEY, algorithm="ES256", headers={"kid": "1"})
TOKENS = {"id_token": ID_TOKEN, "access_token": "opaque"}

Answers = dict[str, Any]


def raw(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """An answer that is read from the wire."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


def provider(changes: Answers, asked: list[httpx.Request] | None = None) -> IdentityProvider:
    """A provider that answers as it should, but for the changes: a document or an answer by the last part of the path."""
    answers: Answers = {
        "openid-configuration": DISCOVERY,
        "keys": KEY_SET,
        "token": TOKENS,
        "userinfo": {"sub": "ada", "email": "ada@example.com"},
    } | changes

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        found = answers[request.url.path.rpartition("/")[2]]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, httpx.Response) else raw(200, json.dumps(found).encode())

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return IdentityProvider(CONFIG, "s3cret", "https://codexflow.example.com/", client)


async def claims(**changes: Any) -> dict[str, Any]:
    """The end of a sign-in at such a provider."""
    named = {name.replace("_", "-"): change for name, change in changes.items()}
    return await provider(named).claims(code="c", verifier="v", nonce="n", issuer=ISSUER)


async def test_a_proper_provider_vouches():
    """With what its userinfo adds to the ID token, which has the last word."""
    found = await claims(userinfo={"sub": "ada", "email": "ada@example.com", "iss": "another"})
    assert (found["email"], found["iss"]) == ("ada@example.com", ISSUER)


async def test_the_provider_is_asked_for_what_is_needed():
    """The redirect address of this installation, and the parameters that the endpoint has already stay."""
    url = await provider({}).authorization_url(state="s", nonce="n", verifier="v" * 43)
    query = httpx.URL(url).params
    assert (query["tenant"], query["scope"]) == ("1", "openid email profile")
    assert query["redirect_uri"] == "https://codexflow.example.com/api/v1/auth/oidc/company/callback"


@pytest.mark.parametrize(
    ("methods", "basic"), [(None, True), (["client_secret_post"], False), (["client_secret_post", "client_secret_basic"], True)]
)
async def test_the_client_proves_itself_as_the_provider_wants(methods: list[str] | None, *, basic: bool):
    """In the header where that is possible, else in the form; never both."""
    asked: list[httpx.Request] = []
    more = {} if methods is None else {"token_endpoint_auth_methods_supported": methods}
    await provider({"openid-configuration": DISCOVERY | more}, asked).claims(code="c", verifier="v", nonce="n", issuer=ISSUER)
    (token,) = [request for request in asked if request.url.path.endswith("/token")]
    assert ("authorization" in token.headers) is basic
    assert (b"client_secret" in token.content) is not basic


@pytest.mark.parametrize(
    "answer",
    [
        DISCOVERY | {"issuer": "https://id.example.com"},
        DISCOVERY | {"token_endpoint": "http://id.example.com/token"},
        DISCOVERY | {"jwks_uri": "file:///etc/passwd"},
        DISCOVERY | {"userinfo_endpoint": "http://10.0.0.1/"},
        {"issuer": ISSUER},
        raw(302, location="https://evil.test/"),
        raw(200, b"<html>"),
        raw(200, b"\xff"),
        raw(200, b" " * (LARGEST_ANSWER + 1)),
        raw(500),
        httpx.ConnectTimeout("slow"),
    ],
    ids=lambda answer: type(answer).__name__,
)
async def test_metadata_that_cannot_be_believed_is_no_provider(answer: Any):
    """Another issuer, endpoints in the open, redirects, no JSON, too much of it, errors."""
    with pytest.raises(ProviderAway):
        await provider({"openid-configuration": answer}).authorization_url(state="s", nonce="n", verifier="v")


@pytest.mark.parametrize(
    "changes",
    [
        {"token": raw(400, b'{"error": "invalid_grant"}')},
        {"token": TOKENS | {"id_token": ID_TOKEN[:-8] + "AAAAAAAA"}},
        {"userinfo": {"sub": "eve", "email": "ada@example.com"}},
        {"userinfo": {"email": "ada@example.com"}},
    ],
    ids=str,
)
async def test_what_proves_nothing_is_invalid(changes: Answers):
    """A spent code, a forged token, another person's userinfo."""
    with pytest.raises(SignInInvalid):
        await claims(**changes)


@pytest.mark.parametrize("issuer", [None, "https://id.example.com", ISSUER + "/"])
async def test_the_answer_names_its_issuer(issuer: str | None):
    """Where the provider says that it does."""
    with pytest.raises(SignInInvalid):
        await provider({}).claims(code="c", verifier="v", nonce="n", issuer=issuer)


@pytest.mark.parametrize(
    "changes",
    [
        {"token": raw(401, b'{"error": "invalid_client"}')},
        {"token": raw(500)},
        {"token": {"access_token": "opaque"}},
        {"token": httpx.ReadError("gone")},
        {"keys": {"keys": 5}},
        {"keys": raw(404)},
        {"userinfo": raw(401)},
    ],
    ids=str,
)
async def test_what_is_not_the_persons_fault_is_an_absence(changes: Answers, caplog: pytest.LogCaptureFixture):
    """They may try again; the log says why, without code, token or secret."""
    with pytest.raises(ProviderAway):
        await claims(**changes)
    assert "company" in caplog.text
    assert not any(secret in caplog.text for secret in ("s3cret", ID_TOKEN, "opaque"))


async def test_another_providers_key_set_verifies_nothing():
    """Also after it has been fetched once more."""
    other = ec.generate_private_key(ec.SECP256R1())
    asked: list[httpx.Request] = []
    keys = {"keys": [{**ECAlgorithm.to_jwk(other.public_key(), as_dict=True), "kid": "2"}]}
    with pytest.raises(SignInInvalid):
        await provider({"keys": keys}, asked).claims(code="c", verifier="v", nonce="n", issuer=ISSUER)
    assert len([request for request in asked if request.url.path.endswith("/keys")]) == 2
