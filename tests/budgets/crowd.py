"""Hundreds of clients at once, all of them at budgets that are nearly empty."""

import asyncio
import json
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from devstack.servers.ports import LOOPBACK
from tests.budgets.scenarios import Scenario, Target

ANSWER_SECONDS = 20.0
_REQUEST_ID = re.compile(rb"\r\nx-request-id: *(\S+)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)

BODIES: tuple[tuple[int, dict[str, Any]], ...] = (
    (30, {"model": "auto", "max_tokens": 40}),
    (20, {"model": "auto", "max_tokens": 60, "stream": True}),
    (10, {"model": "sim-length-150", "max_tokens": 2_000, "stream": True}),
    (6, {"model": "sim-length-2500", "max_tokens": 3_000, "stream": True}),
    (4, {"model": "deep", "max_tokens": 30}),
    (4, {"model": "sim-fault-first.1.500", "max_tokens": 30}),
    (3, {"model": "sim-fault-cut.5", "max_tokens": 60, "stream": True}),
    (2, {"model": "sim-fault-missing-usage", "max_tokens": 30}),
)
HANGS_UP = 0.08
READS_SLOWLY = 0.06
SLOW_READS = 512
"""Bytes at a time, so much slower than the provider makes them that a long stream waits in the gateway."""

EXPECTED = frozenset(
    (
        "200",
        "200 cut",
        "refusal cut",
        "left",
        "429 insufficient_quota",
        "502 upstream_error",
        "503 upstream_unavailable",
        "503 budget_unavailable",
        "503 directory_unavailable",
        "503 shutting_down",
        "closed without an answer",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "IncompleteReadError",
        "timed out",
    )
)
"""What a client may see while parts are killed; nothing else, and above all no 500."""


class Crowd:
    """`outcomes` by scenario; `answered` holds the ids of requests whose answer came whole."""

    def __init__(self, ports: Sequence[int], targets: Sequence[Target], seed: int) -> None:
        self._ports, self._targets = ports, targets
        self._random = random.Random(seed)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.answered: set[str] = set()

    async def run(self, clients: int, seconds: float, *, at_most: float) -> None:
        """Every client asks again and again, soon again after a refusal: for `seconds`, and on until most budgets have come to their end.
        None begins anything after `at_most` seconds.
        """
        began = time.monotonic()

        def goes_on() -> bool:
            passed = time.monotonic() - began
            return passed < seconds or (passed < at_most and len(self.exhausted) <= len(self._targets) // 2)

        await asyncio.gather(*(self._client(self._targets[number % len(self._targets)], goes_on) for number in range(clients)))

    @property
    def exhausted(self) -> list[Target]:
        """Those whose budget was spent as far as it goes, and refused after that."""
        return [target for target in self._targets if self._is_exhausted(target.scenario)]

    def _is_exhausted(self, scenario: Scenario) -> bool:
        refused = self.outcomes[scenario.name, "429 insufficient_quota"] > 0
        return refused and (not scenario.worth or self.outcomes[scenario.name, "200"] > 0)

    async def _client(self, target: Target, goes_on: Callable[[], bool]) -> None:
        draw = random.Random(self._random.random())
        while goes_on():
            try:
                outcome = await asyncio.wait_for(self._exchange(target, draw), ANSWER_SECONDS)
            except TimeoutError:
                outcome = "timed out"
            except OSError as problem:
                outcome = type(problem).__name__
            self.outcomes[target.scenario.name, outcome] += 1
            await asyncio.sleep(draw.uniform(0.3, 1.5) if outcome != "200" else draw.uniform(0, 0.2))

    async def _exchange(self, target: Target, draw: random.Random) -> str:
        slowly = draw.random() < READS_SLOWLY
        reader, writer = await _connect(draw.choice(self._ports), slowly=slowly)
        try:
            writer.write(_request(target, draw))
            await writer.drain()
            if draw.random() < HANGS_UP:
                await asyncio.sleep(draw.uniform(0, 0.1))
                return "left"
            begun = await _read_slowly(reader, draw) if slowly else b""
            return self._judge(begun + await reader.read(-1))
        finally:
            writer.transport.abort()

    def _judge(self, answer: bytes) -> str:
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head[9:12].decode("latin-1")
        if status != "200":
            if (length := _LENGTH.search(head + b"\r\n")) and len(body) < int(length[1]):
                return "refusal cut"
            return f"{status} {_code(body)}" if status else "closed without an answer"
        found = _REQUEST_ID.search(head + b"\r\n")
        whole = b"data: [DONE]" in body or body.rstrip().endswith(b"}")
        if found and whole:
            self.answered.add(found[1].decode())
        return "200" if whole else "200 cut"


async def _connect(port: int, *, slowly: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """`slowly`: with next to nothing kept on the client's side."""
    if not slowly:
        return await asyncio.open_connection(LOOPBACK, port)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(client, (LOOPBACK, port))
        return await asyncio.open_connection(sock=client, limit=SLOW_READS)
    except BaseException:
        client.close()
        raise


async def _read_slowly(reader: asyncio.StreamReader, draw: random.Random) -> bytes:
    """What comes in some seconds; after that it reads on, as fast as it comes."""
    begun, until = b"", time.monotonic() + draw.uniform(0, 6)
    while time.monotonic() < until and (piece := await reader.read(SLOW_READS)):
        begun += piece
        await asyncio.sleep(0.05)
    return begun


def _request(target: Target, draw: random.Random) -> bytes:
    chosen = draw.choices([body for _, body in BODIES], [weight for weight, _ in BODIES])[0]
    prompt = f"Tell me story {draw.randrange(1 << 30)}."
    fields = {**chosen, "user": target.end_user} if target.end_user else chosen
    body = json.dumps({"messages": [{"role": "user", "content": prompt}], **fields}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        "host: gateway",
        f"authorization: Bearer {target.key}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "?"
