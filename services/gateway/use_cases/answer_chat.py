"""Answer a chat completion: route, look into the cache, hold budget, record the start, call the upstream, settle."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from gateway.domain.boundable import refuse_unboundable, would_refuse_unboundable
from gateway.domain.caller import Caller
from gateway.domain.rate_limit import Amount
from gateway.domain.refusals import InvalidKey, Refusal, SpoolFull
from gateway.domain.response_cache_key import cache_key, cacheable
from gateway.domain.run import Run
from gateway.domain.standing import would_refuse
from gateway.domain.token_buckets import TokenBuckets
from gateway.outbound.event_spool import errors as spool_errors
from gateway.outbound.event_spool.records import Start
from gateway.outbound.event_spool.spool import EventSpool
from gateway.outbound.response_cache import CachedAnswer, ResponseCache
from gateway.use_cases.call_upstream import CallUpstream, PassedOn
from gateway.use_cases.extend_hold import ExtendHold
from gateway.use_cases.plan_request import PlanRequest
from gateway.use_cases.relay_stream import ActiveStreams, RelayedStream
from gateway.use_cases.settle_request import SettleRequest
from gateway.use_cases.take_hold import TakeHold
from gateway.use_cases.take_rate import RatePermit, TakeRate

log = logging.getLogger(__name__)

Cache = Literal["hit", "miss", "bypass"]

REFUSALS_PER_SECOND, REFUSALS_AT_ONCE = 5.0, 50.0
"""Of each project that are recorded one by one: whoever asks in a loop must not fill the spool of everybody."""


class WholeAnswer(msgspec.Struct, frozen=True):
    """An answer whose body is complete. `cache` is hit, miss or bypass."""

    run: Run
    status: int
    body: bytes
    content_type: bytes
    cache: Cache
    model: str
    cost_nanousd: int


class AnswerChat:
    """One per process. Raises Refusal for everything that is not an answer; by then the request is settled."""

    def __init__(
        self,
        *,
        plan: PlanRequest,
        take_rate: TakeRate,
        take_hold: TakeHold,
        extend_hold: ExtendHold,
        call_upstream: CallUpstream,
        settle: SettleRequest,
        spool: EventSpool,
        cache: ResponseCache | None,
        streams: ActiveStreams,
        price_version: str,
        still_valid: Callable[[Caller], bool],
    ) -> None:
        self._plan = plan
        self._take_rate = take_rate
        self._take_hold = take_hold
        self._extend_hold = extend_hold
        self._call = call_upstream
        self._settle = settle
        self._spool = spool
        self._cache = cache
        self._streams = streams
        self._price_version = price_version
        self._still_valid = still_valid
        self._recorded = TokenBuckets(per_second=REFUSALS_PER_SECOND, at_once=REFUSALS_AT_ONCE)
        self._writes: set[asyncio.Task[None]] = set()

    async def __call__(
        self, caller: Caller, body: bytes, asked_tier: str | None, endpoint: str, *, address: str = "", use_cache: bool = True
    ) -> WholeAnswer | RelayedStream:
        """The answer, or a stream whose first bytes are there. `address` is the client's, for limits that go by it."""
        if not self._spool.accepts_starts:  # not even a cache hit: it could not be recorded
            raise _spool_full()
        run = self._plan(caller, body, asked_tier, endpoint)
        try:
            may_hit = self._find_cache_key(run, use_cache=use_cache)
            tokens = 0 if may_hit else run.estimate.tokens
            if (permit := self._take_rate_now(run, address, tokens)) is not None:
                await self._wait_for_rate(run, permit, tokens)
            if may_hit and (answer := await self._from_cache(run)) is not None:
                return answer
            await self._admit(run)
            return await (self._stream(run) if run.request.stream else self._whole(run))
        except BaseException:
            if run.permit is not None:
                run.permit.settle(0)  # changes nothing where the request has been settled
            raise

    def _take_rate_now(self, run: Run, address: str, tokens: int) -> RatePermit | None:
        """Take its part of the limits per minute and on concurrency, if it has any; what has to wait if leases at hand do not cover it."""
        rated = self._take_rate.rated(run.caller, run.end_user, address)
        if not rated.scopes:
            return None
        permit = run.permit = self._take_rate.permit(rated, run.patience)
        return None if permit.take_now(1, tokens, 1) else permit

    async def _wait_for_rate(self, run: Run, permit: RatePermit, tokens: int) -> None:
        """Raises RateLimited."""
        try:
            await permit.take(Amount(1, tokens, 1), soon=0 if tokens else run.estimate.tokens)
        except Refusal as refusal:
            self._refuse(run, refusal)
            raise

    async def _admit(self, run: Run) -> None:
        """Hold budget and write the start. Raises Refusal."""
        standing, tokens, nanousd = run.standing, run.estimate.tokens, run.estimate.nanousd
        try:
            if run.permit is not None and not run.permit.tokens:
                await run.permit.take_tokens(tokens)
            if standing.limited:
                refuse_unboundable(run)
                self._take_hold.prepare_next_day(standing, run.admitted_at)
                if standing.shadowed:
                    run.would_refuse = (*would_refuse_unboundable(run), *would_refuse(standing, tokens, nanousd))
            if not self._take_hold.take_now(run.hold, standing, tokens, nanousd):
                run.no_grant = await self._take_hold.take(run.hold, standing, tokens, nanousd, run.patience)
            try:
                self._begin_on_record(run)
            except BaseException:
                run.hold.settle(0, 0)
                raise
        except Refusal as refusal:
            self._refuse(run, refusal)
            raise

    def _refuse(self, run: Run, refusal: Refusal) -> None:
        """It counts as nothing; some of them are recorded, so that they can be explained."""
        refusal.request_id = run.event_id
        if run.permit is not None:
            run.permit.withdraw()
            refusal.headers = run.permit.headers()
        if isinstance(refusal, SpoolFull) or not self._recorded.take(run.caller.project.project_id, time.monotonic()):
            return
        run.refused_by(refusal)
        self._settle(run, "refused", refusal.status, error_code=refusal.code)

    def _begin_on_record(self, run: Run) -> None:
        if not self._still_valid(run.caller):  # the hold may have been waited for
            raise InvalidKey("Incorrect API key provided.")
        run.plan = self._call.plan(run.route)
        try:
            self._spool.start(self._start_record(run))
        except spool_errors.SpoolFull:
            raise _spool_full() from None
        except OSError as problem:
            log.error("spool: a start could not be written", extra={"problem": str(problem)})
            raise _spool_full() from None

    def _start_record(self, run: Run) -> Start:
        caller, bound = run.caller, run.estimate
        first = run.plan[0]
        return Start(
            event_id=run.event_id,
            organization_id=caller.organization.organization_id,
            project_id=caller.project.project_id,
            key_id=caller.key.key_id,
            endpoint=run.endpoint,
            model_requested=run.request.model,
            model=first.model,
            tier=run.route.tier,
            stream=bool(run.request.stream),
            admitted_at=run.admitted_at,
            period_day=run.day.day,
            period_month=run.day.month,
            upstream=first.upstream,
            price_version=self._price_version,
            tags=caller.key.tags,
            owner_id=caller.key.owner_id,
            end_user=run.end_user,
            hold_prompt_tokens=bound.prompt_tokens,
            hold_completion_tokens=bound.completion_tokens,
            hold_nanousd=bound.nanousd,
            end_user_counted=caller.counts_end_users and run.end_user is not None,
            mode=run.mode,
        )

    async def _whole(self, run: Run) -> WholeAnswer:
        try:
            answer = await self._call.whole(run)
        except BaseException as problem:
            self._settle_failure(run, problem)
            raise
        cache: Cache = "bypass" if run.cache_key is None else "miss"
        event = self._settle(run, "ok", 200, cache=cache)
        content_type = answer.header(b"content-type") or b"application/json"
        model = run.attempts[-1].model
        if run.cache_key is not None and run.attempts[-1].usage_source == "provider":
            self.remember(run, answer.body, content_type, model)
        return WholeAnswer(run, 200, answer.body, content_type, cache, model, event.cost_nanousd if event else 0)

    async def _stream(self, run: Run) -> RelayedStream:
        try:
            opened = await self._call.opened(run)
        except BaseException as problem:
            self._settle_failure(run, problem)
            raise
        remember = self.remember if run.cache_key else None
        extend = self._extend_hold if run.mode == "sliced" else None
        stream = RelayedStream(run, opened, self._settle, self._streams, remember, extend)
        if run.caller.project.revoked_streams == "cut" and not self._still_valid(run.caller):
            # Revoked while the upstream was thinking, when there was no stream yet that could be cut.
            refusal = InvalidKey("The API key has been revoked.")
            refusal.request_id = run.event_id
            stream.cut(refusal)
            stream.close()
            raise refusal
        return stream

    def _settle_failure(self, run: Run, problem: BaseException) -> None:
        if isinstance(problem, Refusal):
            problem.request_id = run.event_id
        if isinstance(problem, PassedOn):
            self._settle(run, "error", problem.http_status, error_code=problem.code)
        elif isinstance(problem, Refusal):
            self._settle(run, "error", problem.status, error_code=problem.code)
        elif isinstance(problem, asyncio.CancelledError):
            cause = problem.args[0] if problem.args else None
            if isinstance(cause, Refusal):  # we ended it, not the client
                cause.request_id = run.event_id
                self._settle(run, "error", cause.status, error_code=cause.code)
            else:
                self._settle(run, "client_closed", 499, error_code="client_closed")
        else:
            self._settle(run, "error", 500, error_code="internal_error")

    def _find_cache_key(self, run: Run, *, use_cache: bool) -> bool:
        """Whether the cache may have its answer; then its key is known, otherwise why not."""
        project, key = run.caller.project, run.caller.key
        if self._cache is None or project.cache.scope == "off":
            run.cache_reason = "switched off"
        elif not use_cache:
            run.cache_reason = "the client's cache-control"
        elif not cacheable(run.request):
            run.cache_reason = "not deterministic: temperature 0 and one choice are"
        else:
            scope_id = project.project_id if project.cache.scope == "project" else f"{project.project_id}:{key.key_id}"
            name = run.route.tier or run.request.model
            run.cache_key = cache_key(scope_id, run.endpoint, name, run.request, run.fields)
            return True
        return False

    async def _from_cache(self, run: Run) -> WholeAnswer | None:
        if self._cache is None or run.cache_key is None:
            return None
        found = await self._cache.get(run.cache_key)
        if found is None or all(candidate.model != found.model for candidate in run.route.candidates):
            run.cache_reason = "not found"
            return None  # also when the model that answered then is none of the project's any more
        run.cache_reason = "found"
        self._settle(
            run,
            "ok",
            200,
            cache="hit",
            model=found.model,
            saved_tokens=found.prompt_tokens + found.completion_tokens,
            saved_nanousd=found.cost_nanousd,
        )
        return WholeAnswer(run, 200, found.body, found.content_type.encode(), "hit", found.model, 0)

    def remember(self, run: Run, body: bytes, content_type: bytes, model: str) -> None:
        """Store a complete answer in the background; a cache that is away loses nothing but the entry."""
        if self._cache is None or run.cache_key is None:
            return
        last = run.attempts[-1]
        entry = CachedAnswer(
            body,
            content_type.decode("latin-1"),
            model,
            run.route.tier,
            last.usage.prompt_tokens,
            last.usage.completion_tokens,
            last.cost_nanousd,
        )
        task = asyncio.create_task(self._cache.put(run.cache_key, entry, run.caller.project.cache.ttl_seconds))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)


def _spool_full() -> SpoolFull:
    return SpoolFull("The gateway cannot record requests at the moment.", retry_after=1)
