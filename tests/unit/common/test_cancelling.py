"""Tasks that do not end when they are told once."""

import asyncio

import pytest

from common.cancelling import cancel_all


async def wait_for_results(results: asyncio.Queue[asyncio.Future[None]]) -> None:
    """Waits, with a limit of time, for one result after the other, as a client of a server does."""
    while True:
        result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        results.put_nowait(result)
        await asyncio.wait_for(result, timeout=60)


async def test_a_cancellation_that_comes_with_a_result_is_repeated() -> None:
    """`wait_for` may drop it; the task ends all the same."""
    results: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
    task = asyncio.create_task(wait_for_results(results))
    (await results.get()).set_result(None)
    await cancel_all([task])
    assert task.cancelled()


async def test_tasks_end_however_they_like() -> None:
    """One fails while it tidies up, one has long ended, one has an answer: all are waited for, and nothing is raised."""

    async def fail() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise LookupError("tidying failed")

    async def give() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return 7
        return 0

    failing, giving, ended = (asyncio.create_task(work) for work in (fail(), give(), asyncio.sleep(0)))
    await ended
    await asyncio.sleep(0)
    await cancel_all([failing, giving, ended])
    assert isinstance(failing.exception(), LookupError)
    assert giving.result() == 7


async def test_who_ends_tasks_may_be_cancelled() -> None:
    """Then they have been cancelled once more, and it does not wait."""
    count = 0

    async def go_on() -> None:
        nonlocal count
        while count < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                count += 1

    stubborn = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    ending = asyncio.create_task(cancel_all([stubborn]))
    while not count:
        await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await stubborn
    assert count == 2


async def test_nothing_to_end() -> None:
    """No tasks are fine."""
    await cancel_all([])
