"""Find who is calling from the bearer key: one error and the same work for every cause, no network."""

import hmac
import secrets
import time
from hashlib import blake2b

from common.contracts.api_keys import Peppers, lookup_of
from common.contracts.directory import KeySecret
from gateway.domain.caller import Caller
from gateway.domain.directory_view import DirectoryView
from gateway.domain.refusals import DirectoryUnavailable, InvalidKey
from gateway.outbound.directory_feed import DirectoryFeed

FRESH_SECONDS = 3.0
"""An unknown key is called unknown only by a complete view confirmed this recently; until then it is a 503."""

MOST_PROVEN = 50_000
"""Keys that this process has verified and keeps in mind, as keyed digests: comparing again would cost a tenth of a request."""

_DUMMY_SECRETS = (KeySecret(pepper_version=-1, digest="0" * 64),)


class IdentifyCaller:
    """Raises InvalidKey for anything but a live key, DirectoryUnavailable where the view is too old or incomplete to decide."""

    def __init__(self, view: DirectoryView, feed: DirectoryFeed, peppers: Peppers) -> None:
        self._view = view
        self._feed = feed
        self._peppers = peppers
        self._proof_secret = secrets.token_bytes(32)
        self._proven: dict[bytes, Caller] = {}

    def __call__(self, key: str) -> Caller:
        """The caller of a plaintext key."""
        proof = blake2b(key.encode(), digest_size=16, key=self._proof_secret).digest()
        proven = self._proven.get(proof)
        if proven is not None and self._view.caller(proven.key.lookup) is proven:
            # Nothing about the key, its project or its organization has changed since its digest was compared.
            self._require_fresh(proven)
            if proven.is_live(time.time_ns() // 1_000_000):
                return proven
        return self._prove(key, proof)

    def _prove(self, key: str, proof: bytes) -> Caller:
        lookup = lookup_of(key)
        caller = self._view.caller(lookup) if lookup else None
        now_ms = time.time_ns() // 1_000_000
        matches = self._matches(key, caller.key.secrets if caller else _DUMMY_SECRETS, now_ms)
        if caller is not None and matches:
            self._require_fresh(caller)
            if caller.is_live(now_ms):
                self._remember(proof, caller)
                return caller
        elif lookup and caller is None:
            self._require_complete()
        raise InvalidKey("Incorrect API key provided.")

    def _remember(self, proof: bytes, caller: Caller) -> None:
        """Keys whose secrets all live as long as the key itself need no second comparison; the proofs die with the process."""
        if all(secret.not_after is None for secret in caller.key.secrets):
            if len(self._proven) >= MOST_PROVEN:
                self._proven.clear()
            self._proven[proof] = caller

    def _matches(self, key: str, candidates: tuple[KeySecret, ...], now_ms: int) -> bool:
        found = False
        for secret in candidates:
            version = secret.pepper_version if secret.pepper_version in self._peppers.by_version else None
            same = hmac.compare_digest(self._peppers.digest(key, version).hex(), secret.digest)
            found |= same and version is not None and (secret.not_after is None or now_ms < secret.not_after)
        return found

    def _require_fresh(self, caller: Caller) -> None:
        fresh_at = self._feed.fresh_at
        if fresh_at is None or time.monotonic() - fresh_at > caller.organization.max_staleness_seconds:
            raise DirectoryUnavailable("The gateway's view of the API keys is too old to decide.", retry_after=1)

    def _require_complete(self) -> None:
        fresh_at = self._feed.fresh_at
        fresh = fresh_at is not None and time.monotonic() - fresh_at <= FRESH_SECONDS
        if not (self._feed.confirmed and self._view.complete and fresh):
            raise DirectoryUnavailable("The gateway cannot tell at the moment whether this API key exists.", retry_after=1)

    def still_valid(self, caller: Caller) -> bool:
        """Whether a caller that was identified a while ago may still pass; next to nothing while its records are the same."""
        current = self._view.caller(caller.key.lookup)
        if current is caller and caller.key.expires_at is None:
            return True
        return current is not None and current.is_live(time.time_ns() // 1_000_000)
