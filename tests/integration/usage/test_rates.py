"""Rate leases over the bus: boots together never get more than the limit, and a boot that dies frees its part."""

import asyncio
import itertools
import time

import msgspec

from common.contracts.identifiers import uuid7
from common.contracts.rates import RateAsk, RatesAnswer, RatesAsk, RatesRecall
from common.contracts.subjects import RATES_ASK
from tests.integration.usage.conftest import Books, UsageProcess, eventually
from tests.integration.usage.gateway_side import GatewaySide


async def ask(gateway: GatewaySide, boot: str, *asks: RateAsk) -> RatesAnswer:
    reply = await gateway.gateway.request(RATES_ASK, msgspec.json.encode(RatesAsk(gateway="g", boot=boot, asks=asks)), timeout=30)
    return msgspec.json.decode(reply.data, type=RatesAnswer)


def shape(key: str, seq: int, *, limit: int, version: int = 1, **amounts: int) -> RateAsk:
    return RateAsk(scope="key", scope_id=key, seq=seq, limit_version=version, limit_requests=limit, limit_slots=limit, **amounts)


async def test_thirty_boots_at_once_share_one_limit(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Everybody needs more than a fair part, several times: leased in all is no more than the limit, and nothing is left lying."""
    key, boots = uuid7(), [uuid7() for _ in range(30)]
    answers = await asyncio.gather(
        *(ask(gateway, boot, shape(key, seq, limit=100, need_requests=9, need_slots=9)) for seq in (1, 2) for boot in boots)
    )
    leased = books.query(
        "SELECT sum(lease_requests)::bigint, sum(lease_slots)::bigint FROM rate_leases WHERE scope_id = %s", key
    )[0]
    assert all(0 < amount <= 100 for amount in leased)  # type: ignore[operator] # both are sums
    assert all(answer.answers[0].others_requests <= 100 for answer in answers)
    assert {answer.valid_ms for answer in answers} == {5_000}


async def test_the_newest_limit_stands_whoever_tells_it(usage: UsageProcess, gateway: GatewaySide) -> None:
    """A boot that still knows the old one gets nothing on it."""
    key, one, other = uuid7(), uuid7(), uuid7()
    first = (await ask(gateway, one, shape(key, 1, limit=10, need_requests=4))).answers[0]
    assert first.lease_requests >= 4
    lowered = (await ask(gateway, other, shape(key, 1, limit=4, version=2, need_requests=1))).answers[0]
    assert (lowered.lease_requests, lowered.others_requests) == (0, first.lease_requests)
    again = (await ask(gateway, one, shape(key, 2, limit=10, used_requests=4, need_requests=1))).answers[0]
    assert again.lease_requests == 0
    repeated = (await ask(gateway, one, shape(key, 2, limit=10, need_requests=1))).answers[0]
    assert (repeated.seq, repeated.lease_requests) == (0, 0), "a repeated ask changes nothing and is no answer"


async def test_what_a_silent_boot_had_counts_until_it_cannot_be_in_the_window(
    usage: UsageProcess, gateway: GatewaySide, books: Books
) -> None:
    """Its requests in flight for half a minute, its use of the minute for as long as that may last."""
    key, dead, alive = uuid7(), uuid7(), uuid7()
    numbers = itertools.count(1)
    await ask(gateway, dead, shape(key, 1, limit=5, need_requests=5, need_slots=5))

    async def lease() -> tuple[int, int]:
        answer = (await ask(gateway, alive, shape(key, next(numbers), limit=5, need_requests=5, need_slots=5))).answers[0]
        return answer.lease_requests, answer.lease_slots

    assert await lease() == (0, 0)
    aged = "UPDATE rate_leases SET heard_at = heard_at - make_interval(secs => %s) WHERE boot = %s"
    books.query(aged, 31, dead)
    assert await lease() == (0, 5)
    books.query(aged, 40, dead)
    assert await lease() == (5, 5)


async def test_what_a_boot_may_not_need_is_recalled_for_another(usage: UsageProcess, gateway: GatewaySide, books: Books) -> None:
    """Leases, and slots that may be free by now, of boots that live."""
    key, rich, poor = uuid7(), uuid7(), uuid7()
    numbers = itertools.count(1)
    heard = await gateway.hear_recalls()
    await ask(gateway, rich, shape(key, 1, limit=5, used_slots=2, need_requests=5, need_slots=3))

    async def idle() -> tuple[int, int]:
        answer = (await ask(gateway, poor, shape(key, next(numbers), limit=5, need_requests=1, need_slots=1))).answers[0]
        assert (answer.lease_requests, answer.lease_slots) == (0, 0)
        assert (answer.others_requests, answer.others_slots) == (5, 5)
        return answer.idle_requests, answer.idle_slots

    told = "UPDATE rate_leases SET heard_at = clock_timestamp() - make_interval(secs => %s) WHERE boot = %s"
    books.query(told, 6, rich)
    assert await idle() == (0, 0), "it may be dead"
    assert not heard
    books.query(told, 0, rich)
    assert await idle() == (5, 5)
    await eventually(lambda: heard == [RatesRecall(boot=poor, scopes=(("key", key),))])
    await ask(gateway, rich, shape(key, 2, limit=5, used_slots=4))
    answer = (await ask(gateway, poor, shape(key, next(numbers), limit=5, need_requests=1, need_slots=1))).answers[0]
    assert (answer.lease_requests >= 1, answer.lease_slots) == (True, 1)


async def test_gateways_hear_which_one_they_are(usage: UsageProcess, gateway: GatewaySide) -> None:
    """Each has its own place among those that live; one that nobody has heard of has none."""
    boots = sorted(uuid7() for _ in range(3))
    for boot in boots:
        await gateway.present(boot)
    key = uuid7()

    async def ranks() -> list[tuple[int, int | None]]:
        answers = [await ask(gateway, boot, shape(key, time.time_ns(), limit=5)) for boot in (*boots, uuid7())]
        return [(answer.gateways, answer.rank) for answer in answers]

    async def are_known() -> bool:
        for boot in boots:
            await gateway.present(boot)
        return await ranks() == [(3, 0), (3, 1), (3, 2), (3, None)]

    await eventually(are_known)
