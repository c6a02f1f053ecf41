"""One run of the revocation measurement: the installation, its keys, and what was found that must not be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx

from bench.keys.filling import FilledKey
from bench.keys.installation import Installation
from bench.keys.probe import probes
from bench.keys.report import say


@dataclass
class Run:
    """`keys` are to be revoked, `good` is one that never is."""

    installation: Installation
    keys: Iterator[FilledKey]
    good: FilledKey
    wrong: list[str] = field(default_factory=list)
    revoked: list[FilledKey] = field(default_factory=list)

    @property
    def ports(self) -> list[int]:
        """Of all gateways."""
        return [gateway.port for gateway in self.installation.gateways]

    def expect(self, what: str, answered: object, wanted: object) -> None:
        """Note what is not as it must be."""
        if answered != wanted:
            self.wrong.append(f"{what}: {answered} instead of {wanted}")
            say(f"WRONG: {self.wrong[-1]}")

    @contextlib.asynccontextmanager
    async def accounts(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that may revoke."""
        headers, url = await asyncio.to_thread(self.installation.sign_in), self.installation.accounts_url
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
            yield client

    async def revoke(self, client: httpx.AsyncClient, key: FilledKey) -> bool:
        """Whether accounts answered that some gateway had not confirmed it yet."""
        answer = await client.delete(f"/api/v1/projects/{key.project_id}/keys/{key.id}")
        answer.raise_for_status()
        self.revoked.append(key)
        return bool(answer.json()["effective"]["pending"])

    async def check_for_ever(self) -> None:
        """Whatever was revoked in this run is refused everywhere, and the good key is not."""
        async with probes(self.ports) as doors:
            for door in doors:
                self.expect("the good key", await door.ask(self.good.plaintext), 200)
                answers = {await door.ask(key.plaintext) for key in self.revoked}
                self.expect("revoked keys at the end", answers, {401})
