"""Find who is calling from the bearer key: one error and the same work for every cause, no network."""

import hmac
import secrets
import time
from collections.abc import Callable
from hashlib import blake2b

from common.contracts.api_keys import Peppers, lookup_of
from common.contracts.directory import KeySecret, key_entry
from gateway.domain.caller import FOR_EVER, Caller
from gateway.domain.decoy import decoy
from gateway.domain.directory_view import DirectoryView
from gateway.domain.refusals import DirectoryUnavailable, InvalidKey
from gateway.outbound.directory_feed import DirectoryFeed

FRESH_SECONDS = 3.0
"""An unknown key is called unknown only by a complete view confirmed this recently; until then it is a 503."""

MOST_PROVEN = 50_000
"""Keys that this process has verified and keeps in mind, as keyed digests: comparing again would cost a tenth of a request."""


class IdentifyCaller:
    """Raises InvalidKey for anything but a live key, DirectoryUnavailable where the view is too old or incomplete to decide."""

    def __init__(
        self, view: DirectoryView, feed: DirectoryFeed, peppers: Peppers, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._clock_ns = clock_ns
        self._view = view
        self._at_hand = view.at_hand
        self._feed = feed
        self._peppers = peppers
        self._proof_secret = secrets.token_bytes(32)
        self._proven: dict[bytes, tuple[Caller, int]] = {}

    def __call__(self, key: str) -> Caller:
        """The caller of a plaintext key."""
        proof = blake2b(key.encode(), digest_size=16, key=self._proof_secret).digest()
        proven = self._proven.get(proof)
        if proven is not None:
            caller, until = proven
            if self._at_hand(caller.key.lookup) is caller:
                # Nothing about the key or what it belongs to has changed since its digest was compared.
                if not self._is_fresh(caller):
                    raise _too_old()
                if self._clock_ns() // 1_000_000 < until:
                    return caller
            del self._proven[proof]
        return self._prove(key, proof)

    def may_be(self, key: str) -> bool:
        """Whether there is a key of that name, right or wrong in all else: a look that costs next to nothing."""
        lookup = lookup_of(key)
        return lookup is not None and self._view.knows(key_entry(lookup))

    def _prove(self, key: str, proof: bytes) -> Caller:
        """Joined anew each time, from a decoy where nothing is known, and everything asked whatever the cause: how long it takes does
        not tell one from another.
        """
        lookup = lookup_of(key)
        caller = self._view.join(lookup or "")
        compared = caller or decoy(proof[0])
        now_ms = self._clock_ns() // 1_000_000
        proven_until = self._proven_until(key, compared.key.secrets, now_ms)
        is_fresh, is_live, can_tell = self._is_fresh(compared), compared.is_live(now_ms), self._can_tell()
        if caller is not None and proven_until:
            if not is_fresh:
                raise _too_old()
            if is_live:
                caller = self._view.keep(caller)
                self._remember(proof, caller, min(proven_until, caller.closes_at))
                return caller
        if lookup and caller is None and not can_tell:
            raise DirectoryUnavailable("The gateway cannot tell at the moment whether this API key exists.", retry_after=1)
        raise InvalidKey("Incorrect API key provided.")

    def _remember(self, proof: bytes, caller: Caller, until: int) -> None:
        """Compared once is enough, until the secret or the key ends by the clock; the proofs die with the process."""
        if len(self._proven) >= MOST_PROVEN:
            self._proven.clear()
        self._proven[proof] = (caller, until)

    def _proven_until(self, key: str, candidates: tuple[KeySecret, ...], now_ms: int) -> int:
        """Until when the key is one of the secrets that still live, 0 = it is none of them. One digest per pepper, always."""
        digests = {version: self._peppers.digest(key, version).hex() for version in self._peppers.by_version}
        until = 0
        for secret in candidates:
            same = hmac.compare_digest(digests.get(secret.pepper_version, ""), secret.digest)
            not_after = FOR_EVER if secret.not_after is None else secret.not_after
            if same and now_ms < not_after:
                until = max(until, not_after)
        return until

    def _is_fresh(self, caller: Caller) -> bool:
        """Whether the view was confirmed within the patience of the caller's organization."""
        fresh_at = self._feed.fresh_at
        return fresh_at is not None and time.monotonic() - fresh_at <= caller.organization.max_staleness_seconds

    def _can_tell(self) -> bool:
        """Whether what the view lacks does not exist."""
        fresh_at = self._feed.fresh_at
        fresh = fresh_at is not None and time.monotonic() - fresh_at <= FRESH_SECONDS
        return self._feed.confirmed and self._view.complete and fresh

    def still_valid(self, caller: Caller) -> bool:
        """Whether a caller that was identified a while ago may still pass; next to nothing while its records are the same."""
        current = self._at_hand(caller.key.lookup)
        if current is caller and caller.is_endless:
            return True
        current = current or self._view.join(caller.key.lookup)
        return current is not None and current.is_live(self._clock_ns() // 1_000_000)


def _too_old() -> DirectoryUnavailable:
    return DirectoryUnavailable("The gateway's view of the API keys is too old to decide.", retry_after=1)
