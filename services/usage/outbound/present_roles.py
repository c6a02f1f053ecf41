"""The roles that accounts gives a caller now, asked for when its token does not carry one: it may be older than the organization."""

import hashlib
import logging
import time
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec

from common.contracts.access_tokens import IDENTITY_PATH, Identity

log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
REMEMBER_SECONDS = 2.0
MOST_REMEMBERED = 10_000


class PresentRoles:
    """Asks accounts at most every two seconds per token; while accounts is away nobody has more than the token says."""

    def __init__(self, jwks_url: str) -> None:
        parts = urlsplit(jwks_url)
        self._url = urlunsplit((parts.scheme, parts.netloc, IDENTITY_PATH, "", ""))
        self._client = httpx.AsyncClient(timeout=ASK_SECONDS, limits=httpx.Limits(max_connections=8), trust_env=False)
        self._known: dict[bytes, tuple[float, Identity | None]] = {}

    async def of(self, token: str) -> Identity | None:
        """The bearer with its present roles; None if accounts does not say so."""
        name = hashlib.sha256(token.encode()).digest()
        asked, identity = self._known.get(name, (float("-inf"), None))
        if time.monotonic() - asked < REMEMBER_SECONDS:
            return identity
        identity = await self._ask(token)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[name] = (time.monotonic(), identity)
        return identity

    async def _ask(self, token: str) -> Identity | None:
        try:
            answer = await self._client.get(self._url, headers={"authorization": f"Bearer {token}"})
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=Identity)
        except (httpx.HTTPError, msgspec.MsgspecError) as problem:
            log.info("present roles: accounts does not say: %s", type(problem).__name__)
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
