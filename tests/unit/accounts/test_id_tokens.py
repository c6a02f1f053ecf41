"""ID tokens that are not what they should be prove nothing."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from accounts.outbound.id_tokens import ALGORITHMS, InvalidIdToken, UnknownKey, verify_id_token

ISSUER, CLIENT, NONCE = "https://id.example.com", "codexflow", "n-0S6"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
KEYS = {"RS256": RSA_KEY, "PS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}
WRITERS = {"RS256": RSAAlgorithm, "PS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def public(algorithm: str, **more: Any) -> dict[str, Any]:
    """The public key as a provider publishes it."""
    return {**WRITERS[algorithm].to_jwk(KEYS[algorithm].public_key(), as_dict=True), "kid": algorithm, **more}


def token(algorithm: str = "RS256", *, key: Any = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A valid ID token, but for what is given; what is None is left out."""
    now = int(time.time())
    full = {"iss": ISSUER, "sub": "ada", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": NONCE} | claims
    payload = {name: value for name, value in full.items() if value is not None}
    named = {name: value for name, value in ({"kid": algorithm} | (headers or {})).items() if value is not None}
    return jwt.encode(payload, key or KEYS[algorithm], algorithm=algorithm, headers=named)


def verify(id_token: str, *keys: dict[str, Any]) -> dict[str, Any]:
    """By the keys, or by all that there are."""
    every = [public(algorithm) for algorithm in ("RS256", "ES256", "EdDSA")]
    return verify_id_token(id_token, keys or every, issuer=ISSUER, client_id=CLIENT, nonce=NONCE)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_allowed_algorithm_verifies(algorithm: str):
    """With and without the algorithm in the published key."""
    for key in (public(algorithm), public(algorithm, alg=algorithm, use="sig")):
        assert verify(token(algorithm), key)["sub"] == "ada"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.test"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"exp": 1},
        {"exp": None},
        {"iat": 2**40},
        {"iat": None},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 5},
        {"nonce": "é"},
        {"sub": None},
    ],
    ids=str,
)
def test_wrong_claims_prove_nothing(claims: dict[str, Any]):
    """Another issuer, another client, another sign-in, too old."""
    with pytest.raises(InvalidIdToken):
        verify(token(**claims))


def test_several_audiences_need_an_authorized_party():
    """Ours is accepted."""
    assert verify(token(aud=[CLIENT, "another"], azp=CLIENT))["azp"] == CLIENT


def test_a_changed_token_proves_nothing():
    """Not in its claims, and not in its signature."""
    header, payload, signature = token().split(".")
    other = token(sub="eve").split(".")[1]
    for changed in (
        f"{header}.{other}.{signature}",
        f"{header}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{header}.{payload}.",
        "x",
        "",
    ):
        with pytest.raises(InvalidIdToken):
            verify(changed)


def test_algorithms_that_are_not_allowed_are_refused():
    """None, the public key as a shared secret, and what is merely not on the list."""
    shared = public("RS256")["n"].encode()
    tokens = [
        jwt.encode({"sub": "ada"}, None, algorithm="none", headers={"kid": "RS256"}),
        token("HS256", key=shared, headers={"kid": "RS256"}),
        token("RS512", key=RSA_KEY, headers={"kid": "RS256"}),
    ]
    for forged in tokens:
        with pytest.raises(InvalidIdToken, match="not allowed"):
            verify(forged)


def test_a_key_serves_only_what_it_is_for():
    """Not another algorithm than its own, and not when it is for encryption."""
    for key in (public("RS256", alg="PS256"), public("RS256", use="enc"), public("ES256", kid="RS256")):
        with pytest.raises(UnknownKey):
            verify(token(), key)


def test_an_unknown_key_is_told_apart():
    """So that the provider's keys are fetched again."""
    with pytest.raises(UnknownKey):
        verify(token(headers={"kid": "new"}))


def test_a_token_without_a_key_id_needs_the_only_key():
    """Among several it is refused rather than tried on each."""
    anonymous = token(headers={"kid": None})
    assert verify(anonymous, public("RS256"))["sub"] == "ada"
    with pytest.raises(InvalidIdToken, match="several"):
        verify(anonymous, public("RS256"), public("RS256", kid="other"))


def test_a_key_of_another_provider_does_not_verify():
    """The same key id does not help."""
    foreign = rsa.generate_private_key(65537, 2048)
    with pytest.raises(InvalidIdToken):
        verify(token(key=foreign))
    with pytest.raises(InvalidIdToken):
        verify(token(), {"kid": "RS256", "kty": "RSA", "n": "AA", "e": "!"})
