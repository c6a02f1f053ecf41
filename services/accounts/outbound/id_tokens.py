"""ID tokens: who has signed in, in the provider's signature (OpenID Connect Core 1.0 §3.1.3.7)."""

import hmac
from collections.abc import Sequence
from typing import Any

import jwt
from jwt import PyJWK

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""What a token may be signed with; never `none`, never a shared secret."""

KEY_TYPES = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
LEEWAY_SECONDS = 60
REQUIRED = ("iss", "sub", "aud", "exp", "iat", "nonce")


class InvalidIdToken(Exception):
    """The token does not prove anything; the message is for the log and holds nothing of the token."""


class UnknownKey(InvalidIdToken):
    """None of the keys is the one that the token names: the provider may have a new one."""


def verify_id_token(token: str, keys: Sequence[dict[str, Any]], *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """The claims of a token that the issuer has signed for this client and this sign-in. Raises InvalidIdToken, UnknownKey."""
    try:
        header = jwt.get_unverified_header(token)
        claims: dict[str, Any] = jwt.decode(
            token,
            _key_for(header, keys),
            algorithms=[header["alg"]],
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": list(REQUIRED)},
        )
    except jwt.PyJWTError as problem:
        raise InvalidIdToken(type(problem).__name__) from None
    _check_party(claims, client_id)
    if not isinstance(claims["nonce"], str) or not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()):
        raise InvalidIdToken("the nonce is another sign-in's")
    return claims


def _check_party(claims: dict[str, Any], client_id: str) -> None:
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise InvalidIdToken("made for another client")


def _key_for(header: dict[str, Any], keys: Sequence[dict[str, Any]]) -> PyJWK:
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise InvalidIdToken("signed with an algorithm that is not allowed")
    usable = [key for key in keys if _serves(key, algorithm) and key_id in (None, key.get("kid"))]
    if not usable:
        raise UnknownKey("no such signing key")
    if len(usable) > 1:
        raise InvalidIdToken("several keys could have signed it")
    return PyJWK(usable[0], algorithm)


def _serves(key: dict[str, Any], algorithm: str) -> bool:
    for_signatures = key.get("use", "sig") == "sig" and key.get("alg", algorithm) == algorithm
    return for_signatures and key.get("kty") == KEY_TYPES[algorithm]
