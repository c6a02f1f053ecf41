"""Clients of every kind at a settable rate: whole answers and streams, patient ones and such that hang up, upstream faults."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from devstack.servers.ports import LOOPBACK
from tests.faults.rig import Project

MOST_AT_ONCE = 64
ANSWER_SECONDS = 20.0
_REQUEST_ID = re.compile(rb"\r\nx-request-id: *(\S+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of request. `leaves_after`: hang up after so many bytes of the answer; 0 = as soon as the request is sent."""

    name: str
    weight: int
    body: dict[str, Any]
    leaves_after: int | None = None


def _stream(**fields: Any) -> dict[str, Any]:
    return {"stream": True, "stream_options": {"include_usage": True}, **fields}


KINDS = (
    Kind("whole", 20, {"model": "auto", "max_tokens": 40}),
    Kind("whole, no cap", 4, {"model": "fast"}),
    Kind("deep", 4, {"model": "deep", "max_tokens": 30}),
    Kind("cached", 6, {"model": "auto", "max_tokens": 20, "temperature": 0}),
    Kind("stream", 16, _stream(model="auto", max_tokens=60)),
    Kind("stream without usage", 6, {"model": "auto", "max_tokens": 30, "stream": True}),
    Kind("long stream", 8, _stream(model="sim-length-300", max_tokens=400)),
    Kind("leaves a stream", 6, _stream(model="sim-length-200", max_tokens=300), leaves_after=900),
    Kind("leaves a slow stream", 4, _stream(model="sim-fault-slow.60", max_tokens=200), leaves_after=900),
    Kind("leaves at once", 4, {"model": "auto", "max_tokens": 60}, leaves_after=0),
    Kind("two answers", 2, {"model": "auto", "max_tokens": 20, "n": 2}),
    Kind("retried after 500", 4, {"model": "sim-fault-first.1.500", "max_tokens": 30}),
    Kind("refused upstream", 2, {"model": "sim-fault-500", "max_tokens": 30}),
    Kind("cut stream", 3, _stream(model="sim-fault-cut.5", max_tokens=60)),
    Kind("cut answer", 2, {"model": "sim-fault-first.1.cut", "max_tokens": 30}),
    Kind("malformed", 2, {"model": "sim-fault-first.1.malformed", "max_tokens": 30}),
    Kind("missing usage", 3, {"model": "sim-fault-missing-usage", "max_tokens": 30}),
    Kind("missing usage in a stream", 2, _stream(model="sim-fault-missing-usage", max_tokens=30)),
)


@dataclass
class Load:
    """Runs until `stop`; `outcomes` counts by kind of end, `answered` holds the ids of requests whose 200 answer came whole."""

    ports: Sequence[int]
    projects: Sequence[Project]
    rate: float
    random: random.Random
    outcomes: Counter[str] = field(default_factory=Counter)
    by_project: Counter[tuple[str, str]] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    _stopping: bool = False

    def stop(self) -> None:
        """Send nothing more; `run` returns when what is under way has ended."""
        self._stopping = True

    async def run(self) -> None:
        """Send at the rate; what cannot be begun because too much is under way is left out, and counted."""
        running: set[asyncio.Task[None]] = set()
        while not self._stopping:
            await asyncio.sleep(self.random.expovariate(self.rate))
            if len(running) >= MOST_AT_ONCE:
                self.outcomes["not sent"] += 1
                continue
            task = asyncio.create_task(self._one())
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)

    async def _one(self) -> None:
        kind = self.random.choices(KINDS, [kind.weight for kind in KINDS])[0]
        project = self.random.choice(self.projects)
        try:
            outcome = await asyncio.wait_for(self._exchange(kind, project), ANSWER_SECONDS)
        except TimeoutError:
            outcome = "timed out"
        except OSError as problem:
            outcome = f"{type(problem).__name__}"
        self.outcomes[outcome] += 1
        self.by_project[project.name, outcome] += 1

    async def _exchange(self, kind: Kind, project: Project) -> str:
        reader, writer = await asyncio.open_connection(LOOPBACK, self.random.choice(self.ports))
        try:
            writer.write(self._request(kind, project))
            await writer.drain()
            if kind.leaves_after is not None:
                await asyncio.sleep(self.random.uniform(0, 0.05))
                if kind.leaves_after:
                    await reader.read(kind.leaves_after)
                return "left"
            return self._judge(await reader.read(-1), is_stream=bool(kind.body.get("stream")))
        finally:
            writer.transport.abort()

    def _request(self, kind: Kind, project: Project) -> bytes:
        # Only one kind repeats its prompts: nothing else may come from the response cache.
        prompt = f"Tell me story {self.random.randrange(1 << 30)}. " + "And then? " * self.random.randrange(6)
        if kind.name == "cached":
            prompt = f"Tell me story {self.random.randrange(3)}."
        body = json.dumps({"messages": [{"role": "user", "content": prompt}], **kind.body}).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1",
            "host: gateway",
            f"authorization: Bearer {project.key}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
        )
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    def _judge(self, answer: bytes, *, is_stream: bool) -> str:
        if not answer:
            return "closed without an answer"
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head[9:12].decode("latin-1")
        found = _REQUEST_ID.search(head + b"\r\n")
        if status == "200" and found and (body.rstrip().endswith(b"}") if not is_stream else b"data: [DONE]" in body):
            self.answered.add(found[1].decode())
            return "200"
        return f"{status} cut" if status == "200" else f"{status} {_code(body)}"


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "?"
