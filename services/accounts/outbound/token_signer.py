"""The signing key of access tokens: an Ed25519 seed from the settings, its public half in the key set."""

import base64
import hashlib

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWKSet

from common.contracts.access_tokens import ALGORITHM, Identity, claims_of


class TokenSigner:
    """Signs access tokens; `key_set` is what others verify them with. The key's id is its RFC 7638 thumbprint."""

    def __init__(self, seed: bytes, lifetime_seconds: int) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = _base64url(public)
        self.key_id = _base64url(hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest())
        self.key_set: dict[str, list[dict[str, str]]] = {
            "keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.key_id, "alg": ALGORITHM, "use": "sig"}]
        }
        self.keys = PyJWKSet.from_dict(self.key_set)

    def sign(self, identity: Identity, now: float | None = None) -> str:
        """A token for the identity."""
        claims = claims_of(identity, lifetime_seconds=self.lifetime_seconds, now=now)
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self.key_id})


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
