"""A call in progress: its exchange, its fault, its row and its pace, and the whole answers that go wrong."""

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from devstack.provider.answers import Choice
from devstack.provider.exchange import Exchange
from devstack.provider.faults import Fault
from devstack.provider.ledger import Reported, Row

HANG_SECONDS: Final = 60.0
WRONG_PAGE: Final = b"<!doctype html><title>Welcome</title><p>This is not the answer you are looking for.</p>\n"


_CACHED = re.compile(r"cached-(\d{1,2})-")
HALF: Final = 50


def cached_percent(model: str) -> int:
    """How much of a prompt a model says to have had in its cache: `sim-cached-90-length-5` 90 %, others with the word a half."""
    found = _CACHED.search(model)
    return int(found[1]) if found else HALF if "cached" in model else 0


@dataclass(frozen=True, slots=True)
class Call:
    exchange: Exchange
    fault: Fault
    row: Row
    pace_seconds: float

    async def before_first_token(self) -> None:
        if self.fault.name == "slow-first-token":
            await self.exchange.pause(self.fault.number / 1000)

    async def before_token(self) -> None:
        """One step of the pace. Even at pace 0 others get their turn, and a client that left is noticed."""
        slow = self.fault.number / 1000 if self.fault.name == "slow" else self.pace_seconds
        await self.exchange.pause(slow)

    async def generate(self, choices: list[Choice]) -> None:
        """Produce all tokens without sending any, at the pace."""
        await self.before_first_token()
        if not self.pace_seconds and self.fault.name != "slow":
            self.row.generated = sum(choice.tokens for choice in choices)
            return
        for step in range(max(choice.tokens for choice in choices)):
            await self.before_token()
            self.row.generated += sum(1 for choice in choices if step < choice.tokens)

    def usage(self, completion_tokens: int) -> dict[str, Any] | None:
        """The usage to report, as the fault would have it."""
        if self.fault.name == "missing-usage":
            return None
        if self.fault.name == "empty-usage":
            return {}
        prompt = self.row.prompt_tokens
        if self.fault.name == "zero-usage":
            prompt = completion_tokens = 0
        cached = prompt * cached_percent(self.row.model) // 100
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }

    def note_reported(self, usage: dict[str, Any] | None) -> None:
        if usage:
            self.row.reported = Reported(usage["prompt_tokens"], usage.get("completion_tokens", 0))

    async def reply(self, answer: dict[str, Any], tokens: int) -> None:
        """Send a whole answer (`usage` inside it, `tokens` of text) and book what the client got of it."""
        usage = answer.get("usage")
        if usage is None:
            answer.pop("usage", None)
        body = msgspec.json.encode(answer)
        if self.fault.name == "cut":
            await self._half(body, tokens)
        elif self.fault.name == "malformed":
            await self.exchange.reply(200, body[:-9])
            self.row.sent = tokens
        else:
            await self.exchange.reply(200, body)
            self.row.sent = tokens
            self.note_reported(usage)

    async def misbehave(self) -> bool:
        """Answer for the faults that look the same on every endpoint; False when the fault is not one of them."""
        if self.fault.name == "hang":
            await self.exchange.pause(HANG_SECONDS)
            self.row.outcome = "hung"
            await self.exchange.cut()
        elif self.fault.name == "wrong-type":
            await self.exchange.reply(200, WRONG_PAGE, b"text/html; charset=utf-8")
        elif self.fault.name == "empty":
            await self.exchange.reply(200, b"")
        else:
            return False
        return True

    async def _half(self, body: bytes, tokens: int) -> None:
        await self.exchange.start(200, b"application/json", ((b"content-length", str(len(body)).encode()),))
        await self.exchange.write(body[: len(body) // 2])
        self.row.sent = tokens // 2  # the text is the middle of the body, so about half of it went out
        await self.exchange.cut()
