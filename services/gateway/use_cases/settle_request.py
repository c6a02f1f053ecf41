"""Settle a request exactly once: price is already in its attempts; write the end, give the hold back, count it."""

import logging
import time
from typing import Literal

from common.contracts.events import Decision, RequestSettled, Usage
from gateway.domain.attempts import weakest_cost, weakest_source
from gateway.domain.estimate import attachments, text_length
from gateway.domain.learned_usage import LearnedUsage
from gateway.domain.run import Run
from gateway.outbound.event_spool.errors import SpoolFull
from gateway.outbound.event_spool.spool import EventSpool
from gateway.outbound.meters import Meters

log = logging.getLogger(__name__)

LEARNING = frozenset(("sliced", "expected"))
"""Modes whose estimates go by what was seen before."""

Status = Literal["ok", "error", "refused", "client_closed", "upstream_cut", "aborted"]


class SettleRequest:
    """Synchronous: nothing can come between the end record and the release of the hold."""

    def __init__(self, spool: EventSpool, meters: Meters, learned: LearnedUsage, price_version: str) -> None:
        self._spool = spool
        self._meters = meters
        self._learned = learned
        self._price_version = price_version

    def __call__(
        self,
        run: Run,
        status: Status,
        http_status: int,
        *,
        error_code: str | None = None,
        cache: Literal["hit", "miss", "bypass"] = "bypass",
        model: str = "",
        saved_tokens: int = 0,
        saved_nanousd: int = 0,
        seen_output: int | None = None,
    ) -> RequestSettled | None:
        """The event as written; None if the request was settled before. `seen_output`: tokens that a metered stream has shown."""
        if run.settled:
            return None
        run.settled = True
        attempts = run.attempts
        prompt = completion = cached = reasoning = cost = 0
        reported: int | None = None
        for attempt in attempts:
            usage = attempt.usage
            prompt += usage.prompt_tokens
            completion += usage.completion_tokens
            cached += usage.cached_prompt_tokens
            reasoning += usage.reasoning_tokens
            cost += attempt.cost_nanousd
            if attempt.upstream_cost_nanousd is not None:
                reported = (reported or 0) + attempt.upstream_cost_nanousd
        caller, request = run.caller, run.request
        latency_us = int((time.perf_counter() - run.began) * 1e6)
        event = RequestSettled(
            event_id=run.event_id,
            request_id=run.event_id,
            gateway=self._spool.gateway,
            boot=self._spool.boot,
            organization_id=caller.organization.organization_id,
            project_id=caller.project.project_id,
            key_id=caller.key.key_id,
            endpoint=run.endpoint,
            model_requested=request.model,
            status=status,
            http_status=http_status,
            admitted_at=run.admitted_at,
            finished_at=run.admitted_at + latency_us // 1000,
            period_day=run.day.day,
            period_month=run.day.month,
            model=model or (run.candidate.model if run.candidate else ""),
            tier=run.route.tier,
            stream=bool(request.stream),
            cache=cache,
            error_code=error_code,
            owner_id=caller.key.owner_id,
            end_user=run.end_user,
            tags=caller.key.tags,
            latency_us=latency_us,
            ttft_us=run.ttft_us,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_prompt_tokens=cached,
            reasoning_tokens=reasoning,
            usage_source=weakest_source(attempts),
            cost_nanousd=cost,
            cost_status=weakest_cost(attempts),
            upstream_cost_nanousd=reported,
            price_version=self._price_version,
            hold_tokens=run.hold.tokens,
            hold_nanousd=run.hold.nanousd,
            saved_tokens=saved_tokens,
            saved_nanousd=saved_nanousd,
            attempts=tuple(attempts),
            end_user_counted=caller.counts_end_users and run.end_user is not None,
            decision=_decision(run),
        )
        if run.permit is not None:
            run.permit.settle(prompt + completion)
        try:
            self._spool.end(event)
        except (SpoolFull, OSError):
            # The start stays open and its hold reserved: the next boot books it at the hold, so nothing is lost.
            log.critical("spool: an end could not be written", extra={"request_id": run.event_id})
            return event
        run.hold.settle(prompt + completion, cost)
        self._meters.settled(event)
        if run.mode in LEARNING and attempts and attempts[-1].usage_source == "provider":
            self._learn(run, attempts[-1].usage, seen_output)
        return event

    def _learn(self, run: Run, usage: Usage, seen_output: int | None) -> None:
        """For the estimates of the next requests like it."""
        choices = run.request.n or 1
        self._learned.saw_output(run.route.name, usage.completion_tokens // choices)
        if attachments(run.request, run.fields, None) == 0:  # what they cost says nothing about text
            # A prediction that fails is billed and not streamed either, and says nothing of the next answer.
            known = usage.completion_tokens if seen_output is None else seen_output + run.estimate.predicted
            hidden = max(0, usage.completion_tokens - known) // choices
            length = text_length(run.request, run.fields, run.body_length)
            self._learned.saw_prompt(run.caller.key.key_id, run.route.name, length, usage, hidden)


def _decision(run: Run) -> Decision:
    permit, would_refuse, limits = run.permit, run.would_refuse, run.standing.limit_names
    if permit is not None:
        if permit.would_refuse:
            would_refuse = (*would_refuse, *permit.would_refuse)
        limits = f"{limits} {permit.limit_names}" if limits else permit.limit_names
    elif not run.mode:
        return Decision(tier=run.tier_signal, cache=run.cache_reason, would_refuse=would_refuse)
    counted = run.estimate if run.mode else None
    return Decision(
        mode=run.mode,
        tier=run.tier_signal,
        cache=run.cache_reason,
        limit=run.limit_source,
        needed=run.needed,
        would_refuse=would_refuse,
        estimate=counted.how if counted else "",
        prompt_estimate=counted.prompt_tokens if counted else 0,
        output_estimate=counted.completion_tokens if counted else 0,
        waited_us=int(run.patience.waited * 1e6),
        limits=limits,
        slices=run.slices,
        no_grant=run.no_grant,
    )
