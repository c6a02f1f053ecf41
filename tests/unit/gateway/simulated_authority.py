"""The budget authority at the other end of a wire that is made up: its own rules, books in memory, as slow and silent as a test wants."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import msgspec
import nats.errors

from common.contracts.grants import GrantAnswer, GrantAsk
from tests.unit.budgets.simulated_world import Authority, Limit, Name


class Wire:
    """What the gateway takes for a NATS client. `limits` by scope name, of `version`; others have none."""

    def __init__(self, **limits: Limit) -> None:
        self.authority = Authority()
        self.limits = limits
        self.version = 1
        self.seconds = 0.0
        self.skew_ms = 0
        self.gateways = 1
        self.is_connected = True
        self.asked: list[GrantAsk] = []

    async def request(self, _subject: str, body: bytes, timeout: float) -> Any:
        """As nats-py: raises TimeoutError where the answer takes longer."""
        ask = msgspec.json.decode(body, type=GrantAsk)
        self.asked.append(ask)
        if self.seconds > timeout:
            await asyncio.sleep(timeout)
            raise nats.errors.TimeoutError
        await asyncio.sleep(self.seconds)
        answers = tuple(
            self.authority.answer(ask.boot, one, self.limits.get(one.scope, (None, None)), self.version, self.gateways)
            for one in ask.asks
        )
        at = time.time_ns() // 1_000_000 + self.skew_ms
        return SimpleNamespace(data=msgspec.json.encode(GrantAnswer(answers=answers, answered_at=at, gateways=self.gateways)))

    def spend(self, name: Name, boot: str, tokens: int, nanousd: int = 0) -> None:
        """Another boot has spent so much, and it is booked."""
        self.authority.spent[name, boot, 0] += tokens
        self.authority.spent[name, boot, 1] += nanousd
