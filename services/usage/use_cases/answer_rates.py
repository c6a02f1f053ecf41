"""Answer a boot's asks for leases on limits per minute and on concurrency: decided under a lock per scope, committed before said."""

from collections.abc import Awaitable, Callable

from common.contracts.rates import RateAnswer, RateAsk, RatesAnswer, RatesAsk, RatesRecall
from usage.domain.rate_leases import VALID_SECONDS, Share, lacks_idle, lease_of, told_lease
from usage.outbound.database import Database
from usage.outbound.rate_leases_store import RateBooks, RateRow, lock_rates, write_rates

POOL_WAIT_SECONDS = 0.5


class AnswerRates:
    """Any number of processes may answer: the database serializes them.

    `recall` tells the gateways that somebody waits for what others may not need; it may be lost, for whoever waits asks again.
    """

    def __init__(
        self, database: Database, present_boots: Callable[[], list[str]], recall: Callable[[RatesRecall], Awaitable[None]]
    ) -> None:
        self._database, self._present_boots, self._recall = database, present_boots, recall

    async def __call__(self, ask: RatesAsk) -> RatesAnswer:
        """Raises one of database.TRANSIENT when the books cannot be had: then there is no answer."""
        boots = sorted(self._present_boots())
        gateways = max(1, len(boots))
        answers: list[RateAnswer] = []
        if ask.asks:
            async with self._database.transaction(wait=POOL_WAIT_SECONDS) as connection:
                books = await lock_rates(connection, [(one.scope, one.scope_id) for one in ask.asks], ask.boot)
                rows: dict[tuple[str, str], RateRow] = {}
                for one in ask.asks:
                    name = (one.scope, one.scope_id)
                    answer, row = answer_rate(one, books[name], gateways)
                    answers.append(answer)
                    if row is not None and name not in rows:
                        rows[name] = row
                await write_rates(connection, ask.boot, list(rows.values()))
        wanted = tuple(
            (one.scope, one.scope_id) for one, answer in zip(ask.asks, answers, strict=True) if _lacks_idle(one, answer)
        )
        if wanted:
            await self._recall(RatesRecall(boot=ask.boot, scopes=wanted))
        rank = boots.index(ask.boot) if ask.boot in boots else None
        return RatesAnswer(answers=tuple(answers), valid_ms=int(VALID_SECONDS * 1000), gateways=gateways, rank=rank)


def _lacks_idle(ask: RateAsk, answer: RateAnswer) -> bool:
    return (
        lacks_idle(ask.need_requests, answer.lease_requests, answer.idle_requests)
        or lacks_idle(ask.need_tokens, answer.lease_tokens, answer.idle_tokens)
        or lacks_idle(ask.need_slots, answer.lease_slots, answer.idle_slots)
    )


def answer_rate(ask: RateAsk, books: RateBooks, gateways: int) -> tuple[RateAnswer, RateRow | None]:
    """The answer to one ask, and what is to be stored; None for one that is older than the last."""
    if books.ask_seq is not None and ask.seq <= books.ask_seq:
        return RateAnswer(scope=ask.scope, scope_id=ask.scope_id, seq=0), None
    told = books.limit_version is None or ask.limit_version >= books.limit_version
    limits: tuple[int | None, int | None, int | None] = (
        (ask.limit_requests, ask.limit_tokens, ask.limit_slots)
        if told
        else (books.limit_requests, books.limit_tokens, books.limit_slots)
    )
    shares = (
        Share(limits[0], books.others_requests, ask.used_requests, ask.kept_requests, ask.need_requests, ask.want_requests),
        Share(limits[1], books.others_tokens, ask.used_tokens, ask.kept_tokens, ask.need_tokens, ask.want_tokens),
        Share(limits[2], books.others_slots, ask.used_slots, ask.kept_slots, ask.need_slots, ask.want_slots),
    )
    requests, tokens, slots = leases = tuple(lease_of(share, gateways) for share in shares)
    told_requests, told_tokens, told_slots = (told_lease(share, lease) for share, lease in zip(shares, leases, strict=True))
    row = RateRow(
        ask.scope,
        ask.scope_id,
        ask.seq,
        ask.limit_version if told else books.limit_version or 0,
        *limits,
        ask.used_requests,
        ask.used_tokens,
        ask.used_slots,
        requests,
        tokens,
        slots,
    )
    answer = RateAnswer(
        scope=ask.scope,
        scope_id=ask.scope_id,
        seq=ask.seq,
        lease_requests=told_requests,
        lease_tokens=told_tokens,
        lease_slots=told_slots,
        others_requests=books.others_requests,
        others_tokens=books.others_tokens,
        others_slots=books.others_slots,
        idle_requests=0 if limits[0] is None else books.idle_requests,
        idle_tokens=0 if limits[1] is None else books.idle_tokens,
        idle_slots=0 if limits[2] is None else books.idle_slots,
    )
    return answer, row
