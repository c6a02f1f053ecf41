"""Ships the ends of the spool to the bus in envelopes, and deletes what usage has committed. No request ever waits for it."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from common.contracts.events import HEADER_BOOT, HEADER_CLOSE, HEADER_FROM, HEADER_GATEWAY, HEADER_TO, Watermark
from common.contracts.subjects import REQUESTS, REQUESTS_STREAM, WATERMARKS
from gateway.outbound.event_spool.boot_folder import BootFolder
from gateway.outbound.event_spool.spool import EventSpool

log = logging.getLogger(__name__)

ENVELOPE_EVENTS = 100
ENVELOPE_BYTES = 128 * 1024
"""An envelope takes no further event from here on; none is longer than this, so no envelope is longer than twice this."""
LINGER_SECONDS = 0.05
WINDOW = 4
PUBLISH_SECONDS = 2.0
LONGEST_BACKOFF_SECONDS = 5.0
SYNC_SECONDS = 0.2
ADOPT_SECONDS = 10.0
STALL_SECONDS = 60.0
LONGEST_PATIENCE = 16
"""Re-shipping that does not help is repeated ever more seldom, up to this many times the stall period."""

_FAILURES = (nats.errors.Error, asyncio.TimeoutError, OSError)
_decode_watermark = msgspec.json.Decoder(Watermark).decode


@dataclass(slots=True)
class Envelope:
    """Consecutive ends of a boot, from number `first`."""

    first: int
    payloads: list[bytes]

    @property
    def last(self) -> int:
        """`first` − 1 when it only closes the boot."""
        return self.first + len(self.payloads) - 1


@dataclass(slots=True)
class Lane:
    """How far one boot has been shipped. `series` sets repeats of other moments apart from repeats of the same publication."""

    folder: BootFolder
    series: str = ""
    next: int = 1
    accepted: deque[tuple[int, int]] = field(default_factory=deque)
    """(last number, sequence on the bus) of envelopes that usage has not committed yet."""
    close_said: bool = False
    moved_at: float = field(default_factory=time.monotonic)
    patience: int = 1
    rounds: int = 0
    stream_created: str = ""
    reading: Iterator[bytes] | None = None
    reading_at: int = 0

    @property
    def pending(self) -> int:
        """Ends that the bus has not accepted."""
        return max(0, self.folder.last - self.next + 1)

    @property
    def has_close_to_say(self) -> bool:
        """Everything but the close has been shipped."""
        return not self.pending and self.folder.close is not None and not self.close_said

    @property
    def is_awaited(self) -> bool:
        """Something has been shipped that usage has not committed."""
        return self.folder.committed < self.next - 1 or (self.close_said and not self.folder.closed)

    def begin_again(self) -> None:
        """Ship everything again that is not committed."""
        self.next = self.folder.committed + 1
        self.accepted.clear()
        self.close_said = False
        self.reading = None
        self.rounds += 1
        self.patience = min(LONGEST_PATIENCE, self.patience * 2)
        self.moved_at = time.monotonic()


class EventPublisher:
    """`run`, `keep_syncing` and `keep_recovering` are background tasks, until cancelled; the numbers are for metrics."""

    def __init__(
        self,
        client: Client,
        spool: EventSpool,
        *,
        stall_seconds: float = STALL_SECONDS,
        adopt_seconds: float = ADOPT_SECONDS,
        publish_seconds: float = PUBLISH_SECONDS,
    ) -> None:
        self._client = client
        self._spool = spool
        self._js: JetStreamContext = client.jetstream()
        self._stall_seconds = stall_seconds
        self._adopt_seconds = adopt_seconds
        self._publish_seconds = publish_seconds
        self._own = Lane(spool.folder)
        self._lanes: dict[str, Lane] = {spool.boot: self._own}
        self._marks: deque[tuple[float, int]] = deque()
        self._shipping = asyncio.Lock()
        self._subscribed = False
        self.reships = 0
        self.failures = 0

    # ---- metrics ---------------------------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        """Events that the bus has not accepted, of all boots in this process's care."""
        return sum(lane.pending for lane in self._lanes.values())

    @property
    def oldest_unshipped_seconds(self) -> float:
        """Age of this boot's oldest event that the bus has not accepted, to about a second; 0 when there is none."""
        while self._marks and self._marks[0][1] < self._own.next:
            self._marks.popleft()
        return time.monotonic() - self._marks[0][0] if self._marks else 0.0

    @property
    def spool_bytes(self) -> int:
        """Disk space in use."""
        return self._spool.bytes_used

    @property
    def quarantined(self) -> int:
        """Damaged places found in segments: raise an alarm when this is not 0."""
        return self._spool.quarantined

    # ---- shipping --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ship this boot, then, at a modest rate, those it recovered. Needs a client that has connected once."""
        if not self._subscribed:
            await self._client.subscribe(f"{WATERMARKS}.*", cb=self._heard)
            self._subscribed = True
        while True:
            await asyncio.sleep(LINGER_SECONDS)
            self._mark()
            async with self._shipping:
                while await self._ship_window(self._own) and self._own.pending >= ENVELOPE_EVENTS:
                    self._mark()
                for lane in [lane for lane in self._lanes.values() if lane is not self._own]:
                    await self._ship_window(lane)
            for lane in list(self._lanes.values()):
                await self._mend(lane)

    def _mark(self) -> None:
        now, last = time.monotonic(), self._spool.folder.last
        newest = self._marks[-1] if self._marks else (-1.0, 0)
        if last >= self._own.next and last > newest[1] and now - newest[0] >= 1:
            self._marks.append((now, last))

    async def _ship_window(self, lane: Lane) -> bool:
        """Ship up to WINDOW envelopes and wait until the bus has them; False if there was nothing."""
        close = lane.folder.close
        envelopes: list[Envelope] = []
        first = lane.next
        while len(envelopes) < WINDOW and first <= lane.folder.last:
            payloads = await self._take(lane, first)
            if not payloads:
                lane.next = max(lane.next, lane.folder.committed + 1)
                break
            envelopes.append(Envelope(first, payloads))
            first += len(payloads)
        if not envelopes:
            if not lane.has_close_to_say:
                return False
            envelopes.append(Envelope(lane.next, []))
        if not lane.is_awaited:
            lane.moved_at = time.monotonic()
        sequences = await asyncio.gather(*(self._publish(lane, envelope, close) for envelope in envelopes))
        lane.accepted.extend((envelope.last, sequence) for envelope, sequence in zip(envelopes, sequences, strict=True))
        lane.next = envelopes[-1].last + 1
        lane.close_said = lane.next - 1 == close
        if lane is self._own:
            self._spool.mark_shipped(lane.next - 1)
        return True

    async def _take(self, lane: Lane, first: int) -> list[bytes]:
        """An envelope's worth of ends; empty if the files that held them were committed meanwhile."""
        if lane is self._own and (tail := self._spool.tail(first, ENVELOPE_EVENTS)) is not None:
            return _fitting(iter(tail))
        if lane.reading is None or lane.reading_at != first:
            lane.reading = lane.folder.read(first, lane.folder.last)
        payloads = await asyncio.to_thread(_fitting, lane.reading)
        lane.reading_at = first + len(payloads)
        if not payloads:
            lane.reading = None
        return payloads

    async def _publish(self, lane: Lane, envelope: Envelope, close: int | None) -> int:
        """Until the bus has it: the sequence it was given. No deadline."""
        folder = lane.folder
        headers = {
            "Nats-Msg-Id": f"{folder.boot}-{envelope.first}-{envelope.last}{lane.series}",
            HEADER_GATEWAY: folder.gateway,
            HEADER_BOOT: folder.boot,
            HEADER_FROM: str(envelope.first),
            HEADER_TO: str(envelope.last),
        }
        if lane.rounds:
            headers["Nats-Msg-Id"] += f"-again{lane.rounds}"
        if envelope.last == close:
            headers[HEADER_CLOSE] = str(close)
            headers["Nats-Msg-Id"] += "-close"
        body = b"[" + b",".join(envelope.payloads) + b"]"
        pause = LINGER_SECONDS
        while True:
            if self._client.is_connected:
                try:
                    answer = await self._js.publish(REQUESTS, body, timeout=self._publish_seconds, headers=headers)
                except _FAILURES as problem:
                    self.failures += 1
                    log.debug("shipper: not accepted: %s", type(problem).__name__, extra={"boot": folder.boot})
                else:
                    return answer.seq
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(LONGEST_BACKOFF_SECONDS, pause * 2)

    # ---- watermarks ------------------------------------------------------------------------------------------------

    async def _heard(self, message: Msg) -> None:
        try:
            watermark = _decode_watermark(message.data)
        except msgspec.MsgspecError:
            log.warning("shipper: unreadable watermark")
            return
        lane = self._lanes.get(watermark.boot)
        if lane is None:
            return
        folder = lane.folder
        before = (folder.committed, folder.closed)
        # Not beyond what this process has shipped: after a power cut, numbers on the disk can mean other events than before it.
        folder.hear(min(watermark.contiguous, lane.next - 1), closed=watermark.closed)
        folder.release()
        if lane is self._own:
            self._spool.carry_forward()
            folder.release()
        if (folder.committed, folder.closed) != before:
            lane.moved_at, lane.patience = time.monotonic(), 1
        if folder.committed < before[0]:
            log.warning("shipper: usage has gone back", extra={"boot": folder.boot, "from": before[0], "to": folder.committed})
        while lane.accepted and lane.accepted[0][0] <= folder.committed and not lane.close_said:
            lane.accepted.popleft()

    async def _mend(self, lane: Lane) -> None:
        """Ship again what the bus has lost, or usage: it is not committed, and the bus no longer holds it."""
        if not lane.is_awaited or time.monotonic() - lane.moved_at < self._stall_seconds * lane.patience:
            return
        if await self._bus_has_lost(lane):
            self.reships += 1
            lane.begin_again()
            log.warning("shipper: shipping again", extra={"boot": lane.folder.boot, "from": lane.next})

    async def _bus_has_lost(self, lane: Lane) -> bool:
        if not self._client.is_connected:
            return False
        try:
            info = await self._js.stream_info(REQUESTS_STREAM)
        except NotFoundError:
            return True
        except _FAILURES:
            return False
        created, before = str(info.created), lane.stream_created
        lane.stream_created = created
        if not lane.accepted or created != before != "":
            return True
        sequence = next((at for last, at in lane.accepted if last > lane.folder.committed), lane.accepted[-1][1])
        return not info.state.messages or not info.state.first_seq <= sequence <= info.state.last_seq

    # ---- disk ------------------------------------------------------------------------------------------------------

    async def keep_syncing(self) -> None:
        """Make the spool outlive a power cut, five times a second; delete what is committed."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await asyncio.to_thread(self._tidy, [lane.folder for lane in self._lanes.values()])
            except OSError as problem:
                log.error("spool: the disk fails: %s", problem)
            for lane in [lane for lane in self._lanes.values() if lane is not self._own and lane.folder.is_done]:
                await asyncio.to_thread(self._spool.discard, lane.folder)
                del self._lanes[lane.folder.boot]

    def _tidy(self, folders: Sequence[BootFolder]) -> None:
        try:
            for folder in folders:
                folder.remove_released()
        finally:
            self._spool.sync()

    async def keep_recovering(self) -> None:
        """Take over what dead processes left: at once, and again and again."""
        while True:
            for folder in await asyncio.to_thread(self._spool.recover):
                self._lanes[folder.boot] = Lane(folder, f"-{self._spool.boot}", next=folder.first)
            await asyncio.sleep(self._adopt_seconds)

    # ---- the end ---------------------------------------------------------------------------------------------------

    async def flush(self, seconds: float) -> bool:
        """At shutdown, after `run` was cancelled: ship this boot and close it; True if the bus has all of it in time.

        Not closed while requests are open: the next boot books those.
        """
        self._spool.seal()
        task = asyncio.create_task(self._ship_own())
        # Not `wait_for`: a publication to a silent server does not always let itself be cancelled.
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            return task.exception() is None
        task.cancel()
        log.warning("shipper: the next boot will ship the rest", extra={"backlog": self.backlog})
        return False

    async def _ship_own(self) -> None:
        async with self._shipping:
            with suppress(asyncio.CancelledError):
                while await self._ship_window(self._own):
                    pass


def _fitting(ends: Iterator[bytes]) -> list[bytes]:
    """Up to one envelope's worth from `ends`; takes nothing that it does not return."""
    payloads: list[bytes] = []
    size = 0
    for payload in islice(ends, ENVELOPE_EVENTS):
        payloads.append(payload)
        size += len(payload)
        if size >= ENVELOPE_BYTES:
            break
    return payloads
