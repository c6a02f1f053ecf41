"""What is written of a request while it runs, and what becomes of it when its gateway dies."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from common.contracts.events import NO_USAGE, Attempt, Decision, RequestSettled, Usage

LONGEST_TEXT = 512
OUTCOME_UNKNOWN = "unknown"


class Start(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Written before the upstream is called: all that an `aborted` event needs. Fields are only ever appended, with a default."""

    event_id: str
    organization_id: str
    project_id: str
    key_id: str
    endpoint: str
    model_requested: str
    model: str
    tier: str
    stream: bool
    admitted_at: int
    period_day: str
    period_month: str
    upstream: str
    price_version: str
    hold_prompt_tokens: int
    hold_completion_tokens: int
    hold_nanousd: int
    tags: dict[str, str] = {}
    owner_id: str | None = None
    end_user: str | None = None
    request_id: str = ""
    """Empty: the event's id."""
    end_user_counted: bool = False
    mode: str = ""
    """Of the budget; empty where nothing limits the request."""


class AttemptHold(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Written before attempt `number` is made: its hold, and what became of the one before.

    `previous_unbilled`: that one certainly charged nothing; otherwise it keeps its own hold. A later record of the same number says
    that the hold of that attempt has grown to this.
    """

    event_id: str
    number: int
    upstream: str
    model: str
    hold_prompt_tokens: int
    hold_completion_tokens: int
    hold_nanousd: int
    previous_outcome: str = ""
    previous_unbilled: bool = False


class IdentifiedEvent(msgspec.Struct):
    """The one field of an end that recovery needs."""

    event_id: str


def aborted(start: Start, further: Sequence[AttemptHold], *, gateway: str, boot: str, at: int) -> RequestSettled:
    """The event of a request whose gateway died: charged at every hold that may have been billed, flagged.

    `at`: Unix milliseconds of the death.
    """
    attempts = _attempts(start, further)
    prompt = sum(attempt.usage.prompt_tokens for attempt in attempts)
    completion = sum(attempt.usage.completion_tokens for attempt in attempts)
    cost = sum(attempt.cost_nanousd for attempt in attempts)
    finished_at = max(at, start.admitted_at)
    return RequestSettled(
        event_id=start.event_id,
        request_id=start.request_id or start.event_id,
        gateway=gateway,
        boot=boot,
        organization_id=start.organization_id,
        project_id=start.project_id,
        key_id=start.key_id,
        endpoint=start.endpoint,
        model_requested=start.model_requested,
        status="aborted",
        http_status=0,
        admitted_at=start.admitted_at,
        finished_at=finished_at,
        period_day=start.period_day,
        period_month=start.period_month,
        model=attempts[-1].model,
        tier=start.tier,
        stream=start.stream,
        error_code="gateway_aborted",
        owner_id=start.owner_id,
        end_user=start.end_user,
        tags=start.tags,
        latency_us=(finished_at - start.admitted_at) * 1000,
        prompt_tokens=prompt,
        completion_tokens=completion,
        usage_source="estimated",
        cost_nanousd=cost,
        cost_status=attempts[-1].cost_status,
        price_version=start.price_version,
        hold_tokens=prompt + completion,
        hold_nanousd=cost,
        attempts=attempts,
        end_user_counted=start.end_user_counted,
        decision=Decision(
            mode=start.mode,
            prompt_estimate=start.hold_prompt_tokens if start.mode else 0,
            output_estimate=start.hold_completion_tokens if start.mode else 0,
        ),
    )


def _attempts(start: Start, further: Sequence[AttemptHold]) -> tuple[Attempt, ...]:
    holds: dict[int, Start | AttemptHold] = {1: start}
    ended: dict[int, AttemptHold] = {}
    for hold in further:
        if hold.number not in holds:
            ended[max(holds)] = hold
        holds[hold.number] = hold
    return tuple(_attempt(number, holds[number], ended.get(number)) for number in sorted(holds))


def _attempt(number: int, hold: Start | AttemptHold, following: AttemptHold | None) -> Attempt:
    """`following`: the first record of the next attempt, which tells how this one ended."""
    unbilled = following is not None and following.previous_unbilled
    usage = Usage(prompt_tokens=hold.hold_prompt_tokens, completion_tokens=hold.hold_completion_tokens)
    return Attempt(
        number=number,
        upstream=hold.upstream,
        model=hold.model,
        outcome=(following.previous_outcome if following else "") or OUTCOME_UNKNOWN,
        usage=NO_USAGE if unbilled else usage,
        usage_source="none" if unbilled else "estimated",
        cost_nanousd=0 if unbilled else hold.hold_nanousd,
        cost_status="none" if unbilled else "estimated" if hold.hold_nanousd else "unpriced",
    )


Told = TypeVar("Told", Start, RequestSettled)


def shortened(told: Told) -> Told:
    """The same without what clients can make long without bounds; nothing that is counted or charged changes."""
    return msgspec.structs.replace(
        told,
        model_requested=told.model_requested[:LONGEST_TEXT],
        model=told.model[:LONGEST_TEXT],
        end_user=told.end_user[:LONGEST_TEXT] if told.end_user else told.end_user,
        tags={},
    )
