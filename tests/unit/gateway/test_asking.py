"""Asking usage on behalf of many names: gathered, bounded, whoever waits first, and never in a spin while nobody answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import nats.errors

from gateway.domain.patience import Patience
from gateway.outbound.asking import ASK_TIMEOUT, MOST_MESSAGES, Asking, lend

Name = tuple[str]
Exchange = Callable[[dict[Name, list[int]]], Awaitable[None]]


@asynccontextmanager
async def asking(exchange: Exchange, *, largest_message: int = 100) -> AsyncIterator[Asking[Name, int]]:
    made: Asking[Name, int] = Asking("test", exchange, largest_message=largest_message)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def nobody(_needs: dict[Name, list[int]]) -> None:
    raise nats.errors.NoRespondersError


def name(number: int) -> Name:
    return (str(number),)


async def test_names_are_gathered_into_messages_and_none_is_left_behind() -> None:
    """However many there are, each is asked for once, in messages of the stated size."""
    messages: list[dict[Name, list[int]]] = []

    async def answer(needs: dict[Name, list[int]]) -> None:
        messages.append(needs)
        await asyncio.sleep(0.001)

    async with asking(answer, largest_message=100) as made:
        for number in range(3_000):
            made.note(name(number))
        async with asyncio.timeout(60):
            while sum(map(len, messages)) < 3_000:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert [len(message) for message in messages] == [100] * 30
    assert {it for message in messages for it in message} == {name(number) for number in range(3_000)}


async def test_whoever_waits_is_asked_for_first() -> None:
    """Also behind thousands that only want to be told; the need travels with the ask, and its answer ends the wait."""
    messages: list[dict[Name, list[int]]] = []

    async def answer(needs: dict[Name, list[int]]) -> None:
        messages.append(needs)
        await asyncio.sleep(0.02)

    async with asking(answer, largest_message=10) as made:
        for number in range(1_000):
            made.note(name(number))
        await made.wait(name(999), 7, 60.0)
        assert len(messages) < 50, "the answer did not end the wait"
    assert messages[0][name(999)] == [7]


async def test_a_wait_ends_by_an_answer_to_a_later_message_only() -> None:
    """One that was under way when the wait began knew nothing of the need."""
    told: list[list[int]] = []
    gate = asyncio.Event()

    async def answer(needs: dict[Name, list[int]]) -> None:
        told.append(needs[name(1)])
        if len(told) == 1:
            await gate.wait()

    async with asking(answer) as made:
        made.note(name(1))
        await asyncio.sleep(0.01)
        waiting = made.wait(name(1), 5, 5.0)
        await asyncio.sleep(0.01)
        gate.set()
        await waiting
    assert told == [[], [5]]


async def test_nobody_answering_is_no_reason_to_spin() -> None:
    """A few asks where somebody waits, one a tick elsewhere; the wait ends when its time is over."""
    async with asking(nobody) as made:
        made.note(name(1))
        began = time.monotonic()
        await made.wait(name(2), 5, 0.3)
        assert time.monotonic() - began > 0.25
        assert 2 <= made.failures <= 40
        before = made.asks
        await asyncio.sleep(0.2)
        assert made.asks - before <= 3
        assert not made.is_silent
        made.tick()
        await asyncio.sleep(ASK_TIMEOUT)
        assert made.is_silent


async def test_a_silence_ends_with_the_first_answer() -> None:
    """What was asked in vain is asked again with the ticks, so nobody need come for it."""
    answers = False

    async def sometimes(_needs: dict[Name, list[int]]) -> None:
        if not answers:
            raise TimeoutError

    async with asking(sometimes) as made:
        made.note(name(1))
        await asyncio.sleep(ASK_TIMEOUT + 0.1)
        assert made.is_silent
        answers = True
        made.tick()
        await asyncio.sleep(0.05)
        assert not made.is_silent
        assert made.answered_at is not None


async def test_no_name_is_in_two_messages_at_once_and_messages_are_few() -> None:
    """An authority that is slow is not asked for the same thing again and again."""
    under_way: set[Name] = set()
    most = 0

    async def slow(needs: dict[Name, list[int]]) -> None:
        nonlocal most
        assert under_way.isdisjoint(needs)
        under_way.update(needs)
        most = max(most, len(under_way))
        await asyncio.sleep(0.02)
        under_way.difference_update(needs)

    async with asking(slow, largest_message=1) as made:
        for _ in range(10):
            for number in range(20):
                made.note(name(number))
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.3)
    assert most == MOST_MESSAGES
    assert not made.failures


async def test_patience_is_lent_once() -> None:
    """Three waits of a request have the time of one together."""
    patience = Patience(0.05)
    for _ in range(3):
        await lend(patience, asyncio.sleep(patience.left))
    assert patience.left == 0.0
