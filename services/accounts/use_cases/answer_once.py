"""Answer a request with an Idempotency-Key once: who runs it, and what its repeats are told."""

import logging

from cryptography.exceptions import InvalidTag
from sqlalchemy.exc import SQLAlchemyError

from accounts.domain.idempotency import Ask, Claim, GivenAnswer, sameness, whose
from accounts.domain.principal import Principal
from accounts.outbound import idempotent_answers, metrics
from accounts.use_cases.context import Context
from common.problems import Conflict, Invalid

log = logging.getLogger(__name__)


class KeyInUse(Conflict):
    """The first request with this key has not answered yet."""

    code = "idempotency_key_in_use"


class KeyReused(Invalid):
    """The key has been used for another request."""

    code = "idempotency_key_reused"


async def claim_answer(context: Context, caller: Principal, ask: Ask) -> Claim | GivenAnswer:
    """The claim to run the request, or the answer that was given to it before. Raises KeyInUse, KeyReused."""
    vault, name = context.answers, whose(caller)
    key_digest, request_digest = vault.key_digest(ask.key), vault.request_digest(sameness(caller, ask))
    async with context.engine.begin() as connection:
        held = await idempotent_answers.claim(connection, name, key_digest, request_digest)
        kept = None if held else await idempotent_answers.find_kept(connection, name, key_digest)
    if held:
        return held
    if kept is not None and kept.request_digest != request_digest:
        metrics.IDEMPOTENT_REQUESTS.labels("reused").inc()
        raise KeyReused("This Idempotency-Key has been used for another request; give a new one.")
    if kept is None or kept.sealed is None:
        metrics.IDEMPOTENT_REQUESTS.labels("in_use").inc()
        raise KeyInUse("The first request with this Idempotency-Key has not answered yet; repeat it in a moment.")
    try:
        answer = vault.open(kept.sealed, name, ask.key)
    except InvalidTag:
        raise KeyReused("The answer under this Idempotency-Key cannot be opened any more; give a new one.") from None
    metrics.IDEMPOTENT_REQUESTS.labels("replayed").inc()
    return answer


async def settle_answer(context: Context, held: Claim, key: str, answer: GivenAnswer | None) -> None:
    """Keep a success for repeats; free the key after anything else, so that a repeat runs. Never raises for the database.

    What was asked for is committed by now: should the database be away, the client is answered all the same, and the claim is
    taken for a lost one after a minute.
    """
    succeeded = answer is not None and 200 <= answer.status < 300
    try:
        async with context.engine.begin() as connection:
            if answer is not None and succeeded:
                sealed = context.answers.seal(answer, held.caller, key)
                await idempotent_answers.keep(connection, held, answer.status, sealed)
            else:
                await idempotent_answers.release(connection, held)
    except (SQLAlchemyError, OSError) as away:
        log.warning("an idempotent answer could not be kept: %s", type(away).__name__)
    else:
        metrics.IDEMPOTENT_REQUESTS.labels("kept" if succeeded else "released").inc()
