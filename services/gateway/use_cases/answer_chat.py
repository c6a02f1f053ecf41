"""Answer a chat completion: route, look into the cache, hold budget, record the start, call the upstream, settle."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from common.contracts.identifiers import uuid7
from gateway.domain import chat_request
from gateway.domain.budget import Hold
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller
from gateway.domain.estimate import estimate, refuse_hidden_inputs
from gateway.domain.refusals import BadRequest, InvalidKey, ModelNotFound, Refusal, SpoolFull
from gateway.domain.response_cache_key import cache_key, cacheable
from gateway.domain.routing import TIERS, Routes, allowed, choose
from gateway.domain.run import Run
from gateway.outbound.event_spool import errors as spool_errors
from gateway.outbound.event_spool.records import Start
from gateway.outbound.event_spool.spool import EventSpool
from gateway.outbound.response_cache import CachedAnswer, ResponseCache
from gateway.use_cases.call_upstream import CallUpstream, PassedOn
from gateway.use_cases.relay_stream import ActiveStreams, RelayedStream
from gateway.use_cases.settle_request import SettleRequest
from gateway.use_cases.take_hold import TakeHold

log = logging.getLogger(__name__)

Cache = Literal["hit", "miss", "bypass"]


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
        routes: Routes,
        calendar: Calendar,
        take_hold: TakeHold,
        call_upstream: CallUpstream,
        settle: SettleRequest,
        spool: EventSpool,
        cache: ResponseCache | None,
        streams: ActiveStreams,
        price_version: str,
        still_valid: Callable[[Caller], bool],
    ) -> None:
        self._routes = routes
        self._calendar = calendar
        self._take_hold = take_hold
        self._call = call_upstream
        self._settle = settle
        self._spool = spool
        self._cache = cache
        self._streams = streams
        self._price_version = price_version
        self._still_valid = still_valid
        self._writes: set[asyncio.Task[None]] = set()

    async def __call__(
        self, caller: Caller, body: bytes, asked_tier: str | None, endpoint: str, *, use_cache: bool = True
    ) -> WholeAnswer | RelayedStream:
        """The answer, or a stream whose first bytes are there."""
        if not self._spool.accepts_starts:  # not even a cache hit: it could not be recorded
            raise _spool_full()
        run = self._begin(caller, body, asked_tier, endpoint)
        if use_cache and self._cache is not None and caller.project.cache.scope != "off" and cacheable(run.request):
            answer = await self._from_cache(run, self._cache)
            if answer is not None:
                return answer
        try:
            await self._admit(run)
        except SpoolFull:
            raise
        except Refusal as refusal:
            refusal.request_id = run.event_id
            self._settle(run, "refused", refusal.status, error_code=refusal.code)
            raise
        return await (self._stream(run) if run.request.stream else self._whole(run))

    def _begin(self, caller: Caller, body: bytes, asked_tier: str | None, endpoint: str) -> Run:
        now = time.time_ns() // 1_000_000
        began = time.perf_counter()
        request, fields = chat_request.read(body)
        project = caller.project
        named = asked_tier if asked_tier is not None and request.model in TIERS else request.model
        if not allowed(named, caller.key.models, project.models):
            raise ModelNotFound(f"The model '{request.model}' does not exist or you do not have access to it.", param="model")
        route = choose(
            self._routes,
            project.tier,
            request.model,
            asked_tier=asked_tier,
            characters=request.characters(),
        )
        return Run(
            event_id=uuid7(),
            caller=caller,
            endpoint=endpoint,
            request=request,
            fields=fields,
            route=route,
            estimate=estimate(request, len(body), route, default_cap=self._routes.default_output_cap),
            day=self._calendar.day(caller.organization.time_zone, now),
            admitted_at=now,
            began=began,
        )

    async def _admit(self, run: Run) -> None:
        accounts = self._take_hold.accounts(run.caller, run.day)
        run.hold = Hold(accounts)
        costs_count = False
        for account in accounts:
            costs_count |= account.limit_nanousd is not None
            run.limited |= account.limited
        if run.limited:
            refuse_hidden_inputs(run.request, run.fields)
            if run.route.bound_price is None and costs_count:
                raise BadRequest(
                    f"The model '{run.request.model}' has no price, so a cost budget cannot cover it.",
                    param="model",
                    code="model_not_priced",
                )
        await self._take_hold.take(run.hold, run.estimate, run.caller)
        try:
            self._begin_on_record(run)
        except BaseException:
            run.hold.settle(0, 0)
            raise

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
            end_user=run.request.user,
            hold_prompt_tokens=bound.prompt_tokens,
            hold_completion_tokens=bound.completion_tokens,
            hold_nanousd=bound.nanousd,
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
        stream = RelayedStream(run, opened, self._settle, self._streams, self.remember if run.cache_key else None)
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

    async def _from_cache(self, run: Run, cache: ResponseCache) -> WholeAnswer | None:
        project, key = run.caller.project, run.caller.key
        scope_id = project.project_id if project.cache.scope == "project" else f"{project.project_id}:{key.key_id}"
        name = run.route.tier or run.request.model
        run.cache_key = cache_key(scope_id, run.endpoint, name, run.request, run.fields)
        found = await cache.get(run.cache_key)
        if found is None or all(candidate.model != found.model for candidate in run.route.candidates):
            return None  # also when the model that answered then is none of the project's any more
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
