"""Call an upstream, and another of the same tier when that fails before the first byte: every attempt is kept, with what it is charged."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from common.contracts.events import Attempt, Usage
from gateway.domain import chat_request
from gateway.domain.attempts import RETRIABLE_STATUS, Fate, charge
from gateway.domain.caller import Caller
from gateway.domain.error_answers import fate_of
from gateway.domain.refusals import (
    InvalidKey,
    Refusal,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.domain.routing import Candidate, Route
from gateway.domain.run import Run
from gateway.domain.upstream_health import Health
from gateway.domain.usage_counting import MalformedAnswer, usage_of
from gateway.outbound.event_spool.errors import SpoolFull
from gateway.outbound.event_spool.records import AttemptHold
from gateway.outbound.event_spool.spool import EventSpool
from gateway.outbound.upstream.client import Answer, StreamedAnswer, Timeouts, UpstreamClient
from gateway.outbound.upstream.errors import FailureKind, UpstreamError
from gateway.outbound.upstream.target import Target
from gateway.use_cases.provider_numbers import believable, reported_cost, retry_after_of
from gateway.use_cases.take_hold import TakeHold

MAX_ERROR_BODY = 64 * 1024
LONGEST_RETRY_AFTER = 5.0
_PASSED_ON = frozenset({400, 404, 413, 415, 422})
_TIMEOUTS = frozenset({FailureKind.FIRST_BYTE_TIMEOUT, FailureKind.IDLE_TIMEOUT, FailureKind.TOTAL_TIMEOUT})
_UNREACHABLE = frozenset({FailureKind.CONNECT_FAILED, FailureKind.CONNECT_TIMEOUT, FailureKind.TLS_FAILED, FailureKind.POOL_FULL})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon to try again. Seconds."""

    extra_attempts: int = 2
    backoff: float = 0.5
    timeouts: Timeouts = field(default_factory=Timeouts)


class PassedOn(Refusal):
    """The upstream refused the request itself: its answer is the client's answer."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__("The model provider refused the request.", code="upstream_refused")
        self.http_status = status
        self.body = body


@dataclass(slots=True)
class Opened:
    """A stream whose first bytes have arrived."""

    answer: StreamedAnswer
    first: bytes
    candidate: Candidate
    number: int
    began: float


@dataclass(frozen=True, slots=True)
class _Failure:
    refusal: Refusal
    retry: bool
    wait: float = 0.0


class CallUpstream:
    """`whole` and `opened` return after the first success, or raise the Refusal of the last failure; attempts go into the run."""

    def __init__(
        self,
        client: UpstreamClient,
        targets: dict[str, Target],
        health: Health,
        take_hold: TakeHold,
        spool: EventSpool,
        policy: RetryPolicy,
        still_valid: Callable[[Caller], bool],
    ) -> None:
        self._client = client
        self._targets = targets
        self._health = health
        self._take_hold = take_hold
        self._spool = spool
        self._policy = policy
        self._still_valid = still_valid

    async def whole(self, run: Run) -> Answer:
        """A 200 with a JSON body; its usage is already in the run's last attempt."""
        for number, candidate in enumerate(run.plan, 1):
            began = time.perf_counter()
            target, headers, body = self._prepare(run, candidate, number)
            try:
                answer = await self._client.send(target, headers, body, self._policy.timeouts)
                if answer.status == 200 and self._accept(run, candidate, number, began, answer):
                    return answer
                failure = self._refused(run, candidate, number, began, answer.status, answer.header(b"retry-after"), answer.body)
            except UpstreamError as problem:
                failure = self._broken(run, candidate, number, began, problem)
            except BaseException as problem:
                self._given_up(run, candidate, number, began, problem)
                raise
            await self._go_on(run, failure, candidate, number)
        raise AssertionError("a plan has at least one attempt")

    async def opened(self, run: Run) -> Opened:
        """A 200 event stream with its first bytes; charging it is the relay's business."""
        for number, candidate in enumerate(run.plan, 1):
            began = time.perf_counter()
            target, headers, body = self._prepare(run, candidate, number)
            answer: StreamedAnswer | None = None
            try:
                answer = await self._client.stream(target, headers, body, self._policy.timeouts)
                if answer.status == 200:
                    first = await answer.next_chunk()
                    if first and (answer.header(b"content-type") or b"").startswith(b"text/event-stream"):
                        self._health.succeeded(candidate)
                        return Opened(answer, first, candidate, number, began)
                    answer.close()
                    failure = self._nonsense(run, candidate, number, began)
                else:
                    error = await answer.read(MAX_ERROR_BODY)
                    failure = self._refused(run, candidate, number, began, answer.status, answer.header(b"retry-after"), error)
            except UpstreamError as problem:
                if answer is not None and answer.status != 200:
                    failure = self._refused(run, candidate, number, began, answer.status, answer.header(b"retry-after"), b"")
                else:
                    failure = self._broken(run, candidate, number, began, problem)
            except BaseException as problem:
                if answer is not None:
                    answer.close()
                self._given_up(run, candidate, number, began, problem)
                raise
            await self._go_on(run, failure, candidate, number)
        raise AssertionError("a plan has at least one attempt")

    def plan(self, route: Route) -> list[Candidate]:
        """Whom to call, attempt by attempt."""
        attempts = 1 + self._policy.extra_attempts
        return (self._health.order(route.candidates, time.monotonic()) * attempts)[:attempts]

    def _prepare(self, run: Run, candidate: Candidate, number: int) -> tuple[Target, list[tuple[bytes, bytes]], bytes]:
        run.candidate = candidate
        body = chat_request.body_for(
            run.fields,
            run.request,
            model=candidate.model_json,
            cap_field=candidate.cap_field,
            cap=run.estimate.cap if run.limited else None,
        )
        headers = [(b"x-request-id", run.event_id.encode()), (b"x-codexflow-attempt", b"%d" % number)]
        return self._targets[candidate.upstream], headers, body

    def _accept(self, run: Run, candidate: Candidate, number: int, began: float, answer: Answer) -> bool:
        try:
            usage = believable(usage_of(answer.body))
        except MalformedAnswer:
            return False
        self._health.succeeded(candidate)
        reported = reported_cost(answer.header(b"x-litellm-response-cost"))
        if usage is None:
            self._record(run, candidate, number, "unknown", "usage_missing", began, 200, reported=reported)
        else:
            self._record(run, candidate, number, "reported", "ok", began, 200, usage=usage, reported=reported)
        return True

    def _record(
        self,
        run: Run,
        candidate: Candidate,
        number: int,
        fate: Fate,
        outcome: str,
        began: float,
        http_status: int | None = None,
        *,
        usage: Usage | None = None,
        reported: int | None = None,
    ) -> Attempt:
        attempt = charge(
            number,
            candidate,
            run.estimate,
            fate,
            outcome,
            usage=usage,
            http_status=http_status,
            latency_us=int((time.perf_counter() - began) * 1e6),
            upstream_cost_nanousd=reported,
            stand_in=run.price,
        )
        run.attempts.append(attempt)
        return attempt

    def _given_up(self, run: Run, candidate: Candidate, number: int, began: float, problem: BaseException) -> None:
        """Cancelled, or ended by what nobody has thought of: the request may have been sent, and whoever settles without an attempt
        books nothing. An attempt that is on record already stays as it is.
        """
        if len(run.attempts) < number:
            outcome = "cancelled" if isinstance(problem, asyncio.CancelledError) else "internal_error"
            self._record(run, candidate, number, "unknown", outcome, began)

    def _broken(self, run: Run, candidate: Candidate, number: int, began: float, problem: UpstreamError) -> _Failure:
        self._health.failed(candidate, time.monotonic())
        self._record(run, candidate, number, "unknown" if problem.sent else "unbilled", str(problem.kind), began)
        if problem.kind in _UNREACHABLE:
            return _Failure(UpstreamUnavailable("No model provider could be reached.", retry_after=1), retry=True)
        if problem.kind in _TIMEOUTS:
            retry = problem.kind is not FailureKind.TOTAL_TIMEOUT
            return _Failure(UpstreamTimeout("The model provider did not answer in time."), retry=retry)
        return _Failure(UpstreamFailed("The model provider broke off its answer."), retry=True)

    def _nonsense(self, run: Run, candidate: Candidate, number: int, began: float) -> _Failure:
        self._health.failed(candidate, time.monotonic())
        self._record(run, candidate, number, "unknown", "malformed", began, 200)
        return _Failure(UpstreamFailed("The model provider's answer could not be understood."), retry=True)

    def _refused(
        self,
        run: Run,
        candidate: Candidate,
        number: int,
        began: float,
        status: int,
        retry_after: bytes | None,
        body: bytes,
    ) -> _Failure:
        if status == 200:
            return self._nonsense(run, candidate, number, began)
        self._record(run, candidate, number, fate_of(status, body), f"http_{status}", began, status)
        if status in _PASSED_ON:
            return _Failure(PassedOn(status, body), retry=False)
        self._health.failed(candidate, time.monotonic())
        wait = retry_after_of(retry_after)
        if status == 429:
            refusal: Refusal = UpstreamRateLimited("The model provider is asked too often.", retry_after=max(1, round(wait)))
        elif status in (408, 504):
            refusal = UpstreamTimeout("The model provider did not answer in time.")
        else:
            refusal = UpstreamFailed("The model provider answered with an error.")
        return _Failure(refusal, retry=status in RETRIABLE_STATUS or status in (401, 403), wait=wait)

    async def _go_on(self, run: Run, failure: _Failure, candidate: Candidate, number: int) -> None:
        """Return when another attempt may be made, raise the failure's refusal otherwise."""
        if number == len(run.plan) or not failure.retry:
            raise failure.refusal
        now = time.perf_counter()
        if failure.wait:
            run.not_before[candidate] = now + failure.wait
        following = run.plan[number]
        pause = self._pause_before(run, following, number, now)
        late = now - run.began + pause > self._policy.timeouts.total
        if pause > LONGEST_RETRY_AFTER or late or not await self._hold_another(run, following, number + 1):
            raise failure.refusal
        if pause:
            await asyncio.sleep(pause)
        if not self._still_valid(run.caller):
            raise InvalidKey("The API key has been revoked.")

    def _pause_before(self, run: Run, candidate: Candidate, number: int, now: float) -> float:
        """None before one that has not been asked yet; otherwise what it has asked for itself, or the usual backoff."""
        if candidate not in run.plan[:number]:
            return 0.0
        if candidate in run.not_before:
            return max(0.0, run.not_before[candidate] - now)
        return random.uniform(0.5, 1.0) * self._policy.backoff  # noqa: S311 - jitter

    async def _hold_another(self, run: Run, candidate: Candidate, number: int) -> bool:
        """An attempt of unknown fate keeps its hold: the next one needs its own. On record before it is made, either way."""
        previous, estimate = run.attempts[-1], run.estimate
        unbilled = previous.usage_source == "none"
        if not unbilled and not await self._take_another(run):
            return False
        try:
            self._spool.attempt(
                AttemptHold(
                    event_id=run.event_id,
                    number=number,
                    upstream=candidate.upstream,
                    model=candidate.model,
                    hold_prompt_tokens=estimate.prompt_tokens,
                    hold_completion_tokens=estimate.completion_tokens,
                    hold_nanousd=estimate.nanousd,
                    previous_outcome=previous.outcome,
                    previous_unbilled=unbilled,
                )
            )
        except (SpoolFull, OSError):
            return False
        return True

    async def _take_another(self, run: Run) -> bool:
        """Take as much again, as it was first taken and within what is left of the patience; False where a limit refuses it."""
        tokens, nanousd = run.estimate.tokens, run.estimate.nanousd
        try:
            if run.permit is not None:
                await run.permit.take_tokens(tokens)
            run.no_grant = await self._take_hold.take(run.hold, run.standing, tokens, nanousd, run.patience) or run.no_grant
        except Refusal:
            return False
        return True
