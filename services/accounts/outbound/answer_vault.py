"""The vault of answers that are kept for repeats: a copy of the database alone does not open one, nor does the signing key alone."""

import hashlib
import hmac
import os

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from accounts.domain.idempotency import GivenAnswer

_NONCE_BYTES = 12
_KEY_BYTES = 32


class AnswerVault:
    """Digests and seals with keys derived from a secret of the service."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @staticmethod
    def key_digest(key: str) -> str:
        """What is kept of the client's Idempotency-Key."""
        return hashlib.sha256(key.encode()).hexdigest()

    def request_digest(self, request: bytes) -> str:
        """Keyed, for a request may hold a password, which a plain digest would let somebody guess."""
        return hmac.digest(self._derived("request", ""), request, "sha256").hex()

    def seal(self, answer: GivenAnswer, caller: str, key: str) -> bytes:
        """The answer, to be opened with the client's own key alone, for this caller."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher(caller, key).encrypt(nonce, msgspec.msgpack.encode(answer), caller.encode())

    def open(self, sealed: bytes, caller: str, key: str) -> GivenAnswer:
        """What was sealed; raises cryptography's InvalidTag for another caller, key or secret."""
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return msgspec.msgpack.decode(self._cipher(caller, key).decrypt(nonce, text, caller.encode()), type=GivenAnswer)

    def _cipher(self, caller: str, key: str) -> AESGCM:
        return AESGCM(self._derived("answer", f"{caller}\n{key}"))

    def _derived(self, purpose: str, bound_to: str) -> bytes:
        salt = hashlib.sha256(bound_to.encode()).digest()
        return HKDF(SHA256(), _KEY_BYTES, salt, f"codexflow accounts idempotent {purpose} 1".encode()).derive(self._secret)
