"""Keeps the directory view current: the bucket's republished subject, gap catch-up by sequence, and a look at the stream every 0.5 s.

Not a bucket watch: that one is deaf for many seconds after a server restart, and for ever after a bucket has been re-created.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import Error as JetStreamError

from common.cancelling import cancel_all
from common.contracts.directory import KeyRecord
from common.contracts.events import Presence
from common.contracts.subjects import DIRECTORY_REPUBLISHED, DIRECTORY_STREAM, PRESENCE
from gateway.domain.caller import Record
from gateway.domain.directory_view import DirectoryView
from gateway.outbound.directory_file import DirectoryFile

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
PRESENCE_SECONDS = 1.0
FIRST_SAVE_SECONDS = 2.0
SAVE_SECONDS = 30.0
SAVE_SHARE = 50
"""Saving takes at most a fiftieth of the time, however large the directory is."""

FETCH = 1000
_PREFIX = f"{DIRECTORY_REPUBLISHED}."
_BUCKET_PREFIX = "$KV.DIRECTORY."


class DirectoryFeed:
    """One per process; `run` until cancelled. `fresh_at` is the monotonic time at which the view was last confirmed."""

    def __init__(
        self,
        client: Client,
        view: DirectoryView,
        file: DirectoryFile,
        *,
        gateway: str,
        boot: str,
        changed: Callable[[Record], None],
    ) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=2)
        self._view = view
        self._file = file
        self._gateway = gateway
        self._boot = boot
        self._changed = changed
        self._created = ""
        self._applied = self._acknowledged = 0
        self._unpersisted: dict[str, bytes] = {}
        self._saving = asyncio.Lock()
        self._saved_changes = -1
        self._pause = SAVE_SECONDS
        self._look_now = asyncio.Event()
        self._announce = asyncio.Event()
        self.fresh_at: float | None = None
        self.confirmed = False
        """Whether this process has compared the view with the bucket itself; a view from the file may lack the newest keys."""

    def take_from_file(self) -> None:
        """Start from the last-known-good file; its age counts."""
        known = self._file.load(self._view)
        if known is not None:
            _, as_of = known
            self.fresh_at = time.monotonic() - max(0.0, time.time() - as_of)
            log.info("directory: last-known-good view loaded", extra={"keys": self._view.count("key")})

    @property
    def age(self) -> float | None:
        """Seconds since the view was last confirmed, None if it never was."""
        return None if self.fresh_at is None else time.monotonic() - self.fresh_at

    def look_now(self) -> None:
        """Do not wait for the next look (called after a reconnect)."""
        self._look_now.set()

    async def run(self) -> None:
        """Follow the bucket until cancelled; no failure of the bus ends it."""
        subscription = await self._client.subscribe(f"{DIRECTORY_REPUBLISHED}.>", cb=self._heard)
        tasks = [asyncio.create_task(loop()) for loop in (self._keep_looking, self._keep_announcing, self._keep_saving)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await cancel_all(tasks)
            if self._client.is_connected:
                await subscription.unsubscribe()

    async def _heard(self, message: Msg) -> None:
        sequence = int((message.headers or {}).get("Nats-Sequence", 0))
        self._apply(message.subject[len(_PREFIX) :], message.data)
        if self._created and sequence == self._applied + 1:
            self._applied = sequence
            self._acknowledge()
        elif sequence > self._applied:
            self._look_now.set()

    def _apply(self, entry: str, body: bytes) -> None:
        replaces = self._view.knows(entry)
        record = self._view.apply(entry, body)
        if record is None:
            return
        if replaces or _closes(record):  # nothing else could be undone by the file, or by an older state of the bucket
            self._unpersisted[entry] = body
            self._persist()
        self._changed(record)

    def _persist(self) -> None:
        """Write what has changed to the journal; what cannot be written is tried again with every look."""
        for entry, body in list(self._unpersisted.items()):
            try:
                self._file.append_change(entry, body)
            except OSError as problem:
                log.error("directory: a change could not be persisted", extra={"errno": problem.errno})
                return
            del self._unpersisted[entry]

    def _acknowledge(self) -> None:
        """Tell what has been applied, but no further while a change is not on disk: a revocation must survive the process first."""
        if not self._unpersisted:
            self._acknowledged = self._applied
            self._announce.set()

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self._look()
            except (JetStreamError, nats.errors.Error, TimeoutError, OSError) as problem:
                log.debug("directory: cannot look at the bucket", extra={"problem": type(problem).__name__})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look_now.wait()
            self._look_now.clear()

    async def _look(self) -> None:
        if not self._client.is_connected:
            return
        self._persist()
        asked, applied = time.monotonic(), self._applied
        info = await self._js.stream_info(DIRECTORY_STREAM)
        created, last = str(info.created), info.state.last_seq
        if created != self._created or last < applied:  # another bucket, or an older state of it (restored, or its tail lost)
            log.info("directory: reading the bucket anew")
            self._view.manifest = None
            await self._read_from(1)
            self._created, self._applied, self._acknowledged = created, last, 0
        elif self._applied < last:
            await self._read_from(self._applied + 1)
            self._applied = max(self._applied, last)
        self.fresh_at, self.confirmed = asked, True
        self._acknowledge()

    async def _read_from(self, sequence: int) -> None:
        subscription = await self._js.pull_subscribe(
            f"{_BUCKET_PREFIX}>",
            stream=DIRECTORY_STREAM,
            config=ConsumerConfig(
                ack_policy=AckPolicy.NONE,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=sequence,
                inactive_threshold=10,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        try:
            pending = (await subscription.consumer_info()).num_pending
            while pending:
                messages = await subscription.fetch(min(FETCH, pending), timeout=2)
                for message in messages:
                    self._apply(message.subject[len(_BUCKET_PREFIX) :], message.data)
                pending = messages[-1].metadata.num_pending
                await asyncio.sleep(0)
        finally:
            await subscription.unsubscribe()

    async def _keep_announcing(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PRESENCE_SECONDS):
                    await self._announce.wait()
            self._announce.clear()
            if not self._created or not self._client.is_connected:
                await asyncio.sleep(0.05)
                continue
            presence = Presence(
                gateway=self._gateway,
                boot=self._boot,
                directory_created=self._created,
                applied_sequence=self._acknowledged,
                at=time.time_ns() // 1_000_000,
            )
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._client.publish(PRESENCE, msgspec.json.encode(presence))

    async def _keep_saving(self) -> None:
        await asyncio.sleep(FIRST_SAVE_SECONDS)
        while True:
            saved = await self._save()
            await asyncio.sleep(self._pause if saved else FIRST_SAVE_SECONDS)

    async def _save(self) -> bool:
        """Write what is known, if it is complete; whether the disk has it now."""
        async with self._saving:
            if not (self._created and self._view.complete):
                return False
            try:
                await self._write()
            except OSError as problem:
                log.error("directory: the last-known-good view could not be written", extra={"errno": problem.errno})
                return False
            return True

    async def _write(self) -> None:
        """The moment of confirmation is that of the copy: of what comes later only changes are on disk already, nothing new."""
        as_of, created, changes = time.time() - (self.age or 0.0), self._created, self._view.changes
        if changes != self._saved_changes:
            began, journal = time.monotonic(), self._file.journal_size()
            await asyncio.to_thread(self._file.save_view, self._view.snapshot())
            self._file.shorten_journal(journal)
            self._saved_changes = changes
            self._pause = max(SAVE_SECONDS, SAVE_SHARE * (time.monotonic() - began))
        await asyncio.to_thread(self._file.save_freshness, created, as_of)

    async def save_now(self) -> None:
        """Write the view at shutdown."""
        await self._save()


def _closes(record: Record) -> bool:
    return record.status != "active" or (isinstance(record, KeyRecord) and any(it.not_after for it in record.secrets))
