"""Relay a stream chunk by chunk, count what it used, and settle it however it ends: finished, cut, revoked, or the client gone."""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from gateway.domain.attempts import Fate, charge
from gateway.domain.caller import Record
from gateway.domain.output_meter import OutputMeter
from gateway.domain.refusals import InvalidKey, Refusal, UpstreamFailed, UpstreamTimeout
from gateway.domain.run import Run
from gateway.domain.sse import OversizedEvent, Relay, finish_event
from gateway.outbound.upstream.errors import FailureKind, UpstreamError
from gateway.use_cases.call_upstream import Opened
from gateway.use_cases.extend_hold import ExtendHold
from gateway.use_cases.provider_numbers import believable, nanousd_of
from gateway.use_cases.settle_request import LEARNING, SettleRequest, Status

DRAIN_SECONDS = 2.0
"""How long a stream whose client has gone is read on, for its usage, before it is cancelled."""

LARGEST_REMEMBERED = 1024 * 1024

Remember = Callable[[Run, bytes, bytes, str], None]
_TIMEOUTS = frozenset({FailureKind.IDLE_TIMEOUT, FailureKind.TOTAL_TIMEOUT})


class ActiveStreams:
    """The streams being relayed by this process; so that a revocation can cut them."""

    def __init__(self) -> None:
        self.running: set[RelayedStream] = set()

    def cut(self, record: Record) -> int:
        """Cut the streams of a key, project, organization or owner that is closed, where the project says so; how many were cut."""
        cut = [
            stream
            for stream in self.running
            if stream.run.caller.project.revoked_streams == "cut" and stream.run.caller.rests_on(record)
        ]
        for stream in cut:
            stream.cut(InvalidKey("The API key has been revoked."))
        return len(cut)

    def cut_all(self, make_refusal: Callable[[], Refusal]) -> None:
        """End every stream with an error event."""
        for stream in list(self.running):
            stream.cut(make_refusal())


class RelayedStream:
    """`next_chunk` until it returns b"". If it ended badly `failure` says how, for the error event. Settles itself exactly once."""

    __slots__ = (
        "_client_gone",
        "_extend",
        "_kept",
        "_kept_bytes",
        "_meter",
        "_opened",
        "_pending",
        "_relay",
        "_remember",
        "_settle",
        "_streams",
        "_timer",
        "failure",
        "run",
    )

    def __init__(
        self,
        run: Run,
        opened: Opened,
        settle: SettleRequest,
        streams: ActiveStreams,
        remember: Remember | None,
        extend: ExtendHold | None,
    ) -> None:
        options = run.request.stream_options
        self.run = run
        self.failure: Refusal | None = None
        self._opened = opened
        self._settle = settle
        self._streams = streams
        self._remember = remember
        self._kept: list[bytes] | None = [] if remember else None
        self._kept_bytes = 0
        self._relay = Relay(hide_usage=not (options is not None and options.include_usage))
        self._extend = extend
        self._meter = OutputMeter() if run.mode in LEARNING else None
        self._pending = opened.first
        self._client_gone = False
        self._timer: asyncio.TimerHandle | None = None
        run.ttft_us = int((time.perf_counter() - run.began) * 1e6)
        streams.running.add(self)

    @property
    def model(self) -> str:
        """The model that answers."""
        return self._opened.candidate.model

    @property
    def content_type(self) -> bytes:
        """The upstream's content type."""
        return self._opened.answer.header(b"content-type") or b"text/event-stream"

    async def next_chunk(self) -> bytes:
        """What the client gets next; b"" when there is no more. Never raises but for cancellation."""
        try:
            while True:
                data = self._pending or await self._opened.answer.next_chunk()
                self._pending = b""
                chunk = self._relay.feed(data) if data else self._relay.finish()
                if chunk and self._kept is not None:
                    self._keep(chunk)
                if chunk and self._meter is not None:
                    self._meter.feed(chunk)
                    if data and self._extend is not None and not self._is_complete():
                        refusal = await self._extend(self.run, self._opened.number, self._seen_output)
                        if refusal is not None:
                            return chunk + self._end_early(refusal)
                if not data:
                    self._end("ok")
                if chunk or not data:
                    return chunk
        except UpstreamError as problem:
            return self._broken(problem)
        except OversizedEvent:
            self._opened.answer.close()
            self.failure = UpstreamFailed("The model provider's answer could not be understood.")
            self._end("upstream_cut")
            return b""
        except BaseException:
            self._opened.answer.close()
            self._end("client_closed" if self._client_gone else "upstream_cut")
            raise

    def _is_complete(self) -> bool:
        return self._relay.done or (self._meter is not None and self._meter.has_finished(self.run.request.n or 1))

    @property
    def hold_grows(self) -> bool:
        """Whether less is held than the answer may need: what is made and not read could pass what is held."""
        return self._extend is not None and self.run.estimate.rest()[0] > 0

    async def cover(self) -> bytes:
        """Hold all that may still come, for a client so slow that the upstream is not read on. Where that is not to be had the
        stream ends here: the answer is its end, which the client gets.
        """
        if self._extend is None or self.run.settled:
            return b""
        refusal = await self._extend.to_the_cap(self.run, self._opened.number)
        return b"" if refusal is None else self._end_early(refusal)

    async def hear_out(self) -> None:
        """The client is given up: count what has come and comes within the time for draining, for nobody."""
        self.client_left()
        while await self.next_chunk():
            pass

    @property
    def _seen_output(self) -> int:
        return 0 if self._meter is None else self._meter.seen

    def _end_early(self, refusal: Refusal) -> bytes:
        """No further slice is to be had: the choices end properly, and an error event says why."""
        if self.failure is None:
            self.failure = refusal
        self.run.refused_by(refusal)
        self._opened.answer.close()
        self._end("client_closed" if self._client_gone else "upstream_cut")
        return finish_event(self.run.event_id, self.model, self.run.request.n or 1)

    def _broken(self, problem: UpstreamError) -> bytes:
        if self._client_gone:
            self._end("client_closed")
        else:
            if self.failure is None:
                self.failure = (
                    UpstreamTimeout("The model provider fell silent.")
                    if problem.kind in _TIMEOUTS
                    else UpstreamFailed("The model provider broke off its answer.")
                )
            self._end("upstream_cut")
        return b""

    def client_left(self) -> None:
        """Nobody is listening any more: read on for the usage for a moment, then cancel the upstream."""
        if not self._client_gone and not self.run.settled:
            self._client_gone = True
            self._timer = asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._opened.answer.close)

    def cut(self, refusal: Refusal) -> None:
        """End it now: the reader gets a failure."""
        if self.failure is None and not self.run.settled:
            self.failure = refusal
            self._opened.answer.close()

    def close(self) -> None:
        """Settle whatever has not been settled (the handler died); may be repeated."""
        if not self.run.settled:
            self._opened.answer.close()
            self._end("client_closed" if self._client_gone else "upstream_cut")

    def _most_seen(self) -> int:
        """What was seen, and what is expected besides; no more than the cap, where that was asked for: an estimate may pass it."""
        seen = self._seen_output + self.run.estimate.hidden_output
        return min(seen, self.run.estimate.most_output) if self.run.limited else seen

    def _end(self, status: Status) -> None:
        self._streams.running.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        run, relay, opened = self.run, self._relay, self._opened
        if run.settled:
            return
        finished = status == "ok"
        if finished and self._client_gone:
            status = "client_closed"
        # A count that came with the text stands only where the stream came to its end: before, it may have gone on rising.
        usage = believable(relay.usage) if finished or relay.usage_is_last else None
        fate: Fate = "unknown" if usage is None else "reported"
        missing = "malformed" if relay.broken else "usage_missing"
        outcome = "ok" if finished and usage is not None else missing if finished else status
        run.attempts.append(
            charge(
                opened.number,
                opened.candidate,
                run.estimate,
                fate,
                outcome,
                usage=usage,
                http_status=200,
                latency_us=int((time.perf_counter() - opened.began) * 1e6),
                ttft_us=run.ttft_us,
                upstream_cost_nanousd=None if relay.reported_cost is None else nanousd_of(relay.reported_cost),
                stand_in=run.price,
                seen_output=self._most_seen(),
            )
        )
        http_status = 499 if status == "client_closed" else 200 if self.failure is None else self.failure.status
        code = self.failure.code if self.failure else ("client_closed" if status == "client_closed" else None)
        cache: Literal["miss", "bypass"] = "miss" if run.cache_key else "bypass"
        seen = self._seen_output if self._meter is not None and finished else None
        self._settle(run, status, http_status, error_code=code, cache=cache, seen_output=seen)
        if finished and relay.done and usage is not None and self._remember and self._kept:
            self._remember(run, b"".join(self._kept), self.content_type, self.model)

    def _keep(self, chunk: bytes) -> None:
        if self._kept is not None:
            self._kept.append(chunk)
            self._kept_bytes += len(chunk)
            if self._kept_bytes > LARGEST_REMEMBERED:
                self._kept = None
