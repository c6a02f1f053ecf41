"""The law of revocation: once a gateway has acknowledged that a key is closed, nothing ever lets that key in again there.

Records arrive late, twice, out of order and through relays that were thought dead; the bucket is put back to an older state or made
anew; answers get lost; disks fill up; the gateway is killed between any two steps, also while it saves; requests are under way
meanwhile.
"""

import asyncio
import errno
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accounts.domain.directory_snapshot import ABSENT, Stored
from accounts.outbound.bus import BusAway
from accounts.outbound.directory_bucket import DirectoryBucket
from common.contracts.directory import MANIFEST_KEY, KeyRecord, KeySecret, Manifest, MemberRecord
from gateway.domain.caller import Caller
from gateway.domain.directory_view import DirectoryView
from gateway.domain.refusals import Refusal
from gateway.outbound.directory_feed import DirectoryFeed
from gateway.outbound.directory_file import DirectoryFile
from gateway.use_cases.identify_caller import IdentifyCaller
from tests.unit.gateway.directory_makers import (
    MEMBER,
    PEPPERS,
    Record,
    entry_of,
    fresh_plaintext,
    key_record,
    member_record,
    organization_record,
    project_record,
    secret_of,
)
from tests.unit.gateway.directory_makers import another_secret as next_secret
from tests.unit.gateway.simulated_bus import Bucket, Message, Outcome, Walk, Wire

SECRET = b"s" * 32
OUTCOMES: list[Outcome] = ["answered", "answered", "answered", "lost", "unheard", "late"]
HELD = [member_record(), project_record(), organization_record()]
KEYS = [fresh_plaintext() for _ in range(2)]
PLAINTEXTS = {plaintext: [plaintext, next_secret(plaintext), next_secret(plaintext)] for plaintext in KEYS}
DIGESTS = {plaintext: secret_of(plaintext).digest for plaintexts in PLAINTEXTS.values() for plaintext in plaintexts}
FIRST = {plaintext: key_record(plaintext) for plaintext in KEYS}
NEEDED = {
    plaintext: [entry_of(record) for record in (FIRST[plaintext], *(HELD if plaintext == KEYS[0] else HELD[1:]))]
    for plaintext in KEYS
}
"""The entries of a key and of what it belongs to; the first key has an owner, the second has none."""

NUMBERS = st.integers(0, 1 << 16)


class Killed(Exception):
    """The process died here."""


class Disk(DirectoryFile):
    """The real file; while it is being written the loop may hear more, and the process may die. A full disk takes nothing."""

    loop: asyncio.AbstractEventLoop
    feed: DirectoryFeed
    heard: list[Message]
    killed = False
    full = False

    def append_change(self, entry: str, body: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "the disk is full")
        super().append_change(entry, body)

    def save_view(self, entries: Any) -> None:
        for message in self.heard:
            asyncio.run_coroutine_threadsafe(self.feed._heard(message), self.loop).result(10)  # type: ignore[arg-type]
        super().save_view(entries)
        if self.killed:
            raise Killed


@dataclass
class Gateway:
    """One gateway on one disk: its parts are the real ones, new after every restart."""

    folder: Path
    bucket: Bucket
    clock: list[int]
    floors: dict[str, Record] = field(default_factory=dict)
    """The newest record of each entry that this gateway has acknowledged; of what does not close anything, only since its start."""
    under_way: list[tuple[str, Caller]] = field(default_factory=list)
    look: Walk | None = None

    def __post_init__(self) -> None:
        self.inbox: list[Message] = []
        self.start(connected=True)

    def start(self, *, connected: bool) -> None:
        self.view = DirectoryView()
        self.wire = Wire(self.bucket, is_connected=connected)
        self.file = Disk(self.folder, SECRET)
        self.feed = DirectoryFeed(self.wire, self.view, self.file, gateway="g", boot="b", changed=lambda _: None)  # type: ignore[arg-type]
        self.feed.take_from_file()
        self.told = -1
        self.identify = IdentifyCaller(self.view, self.feed, PEPPERS, lambda: self.clock[0] * 1_000_000)
        self.listen()

    def listen(self) -> None:
        if self.wire.is_connected and not any(self.inbox is inbox for inbox in self.bucket.listeners):
            self.inbox = []
            self.bucket.listeners.append(self.inbox)

    def deafen(self) -> None:
        self.bucket.listeners[:] = [inbox for inbox in self.bucket.listeners if inbox is not self.inbox]
        self.inbox = []

    def kill(self) -> None:
        if self.look is not None:
            self.look.stop()
        self.look = None
        self.deafen()
        self.file.close()
        self.under_way.clear()
        self.floors = {entry: record for entry, record in self.floors.items() if closes(record)}

    def hear(self, message: Message) -> None:
        Walk(self.feed._heard(message), ()).through()  # type: ignore[arg-type]

    def acknowledge(self) -> None:
        """What is applied and would survive is what the others are told."""
        if self.told != self.view.changes and not self.feed._unpersisted:
            self.told = self.view.changes
            held = self.view.snapshot()
            held.pop(MANIFEST_KEY, None)
            self.floors |= {entry: msgspec.json.decode(body, type=type_of(entry)) for entry, body in held.items()}

    def asks(self, plaintext: str) -> Caller | None:
        try:
            return self.identify(plaintext)
        except Refusal:
            return None


def type_of(entry: str) -> type[Any]:
    return KeyRecord if entry.startswith("key.") else next(type(it) for it in HELD if entry == entry_of(it))


def closes(record: Record) -> bool:
    """What must outlive the process: something that shuts a door."""
    return record.status != "active" or (isinstance(record, KeyRecord) and any(it.not_after for it in record.secrets))


class Revocations(RuleBasedStateMachine):
    """Accounts' tables, its relays, the bucket and two gateways."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = [0]
        self.bucket = Bucket()
        self.history: dict[str, list[Record]] = defaultdict(list)
        self.outbox: list[tuple[str, int, bytes]] = []
        self.relays: list[Walk] = []
        self.seen: list[tuple[str, Stored]] = []
        self.backups: list[tuple[str, int, dict[str, tuple[int, bytes]]]] = []
        self.went_back = False
        self.crossed: list[Any] = []
        self.gateways = [Gateway(self.folder / str(number), self.bucket, self.clock) for number in range(2)]

    def teardown(self) -> None:
        for gateway in self.gateways:
            gateway.kill()
        shutil.rmtree(self.folder)

    # ---- accounts' tables ----------------------------------------------------------------------------------------------
    @initialize()
    def fill(self) -> None:
        """Everything is there and active, in the bucket and on the gateways."""
        owned = {"owner_kind": "member", "owner_id": MEMBER}
        for record in (*HELD, key_record(KEYS[0], **owned), key_record(KEYS[1])):
            self.commit(record)
        self.relay_all()
        manifest = Manifest(generation=1, keys=2, projects=1, organizations=1, members=1, published_at=0)
        self.bucket.take(MANIFEST_KEY, msgspec.json.encode(manifest), 0)
        for gateway in self.gateways:
            self.look_through(gateway)
            gateway.inbox.clear()

    def commit(self, record: Record) -> None:
        entry = entry_of(record)
        assert record.version == len(self.history[entry]) + 1
        self.history[entry].append(record)
        self.outbox.append((entry, record.version, msgspec.json.encode(record)))

    def change(self, known: Record, **fields: Any) -> None:
        now = self.history[entry_of(known)][-1]
        if now.status != "revoked":  # that is for good
            self.commit(msgspec.structs.replace(now, version=now.version + 1, **fields))

    @rule(key=st.sampled_from(KEYS), status=st.sampled_from(["revoked", "suspended", "active"]))
    def change_key(self, key: str, status: str) -> None:
        self.change(FIRST[key], status=status)

    @rule(held=st.sampled_from(HELD), status=st.sampled_from(["suspended", "active"]))
    def change_what_it_belongs_to(self, held: Record, status: str) -> None:
        self.change(held, status=status)

    @rule()
    def remove_member(self) -> None:
        self.change(HELD[0], status="revoked")

    @rule(key=st.sampled_from(KEYS), number=st.integers(0, 2), overlap=st.integers(0, 3))
    def rotate(self, key: str, number: int, overlap: int) -> None:
        """Another of its secrets is the one that stays, those of before end after the overlap."""
        now = self.history[entry_of(FIRST[key])][-1]
        assert isinstance(now, KeyRecord)
        new, ends = secret_of(PLAINTEXTS[key][number]), self.clock[0] + overlap
        old = [
            KeySecret(pepper_version=1, digest=it.digest, not_after=min(ends, it.not_after or ends))
            for it in now.secrets
            if it.digest != new.digest
        ]
        self.change(now, secrets=(*old[-1:], new))

    @rule(by=st.integers(1, 3))
    def time_passes(self, by: int) -> None:
        self.clock[0] += by

    # ---- the relays ----------------------------------------------------------------------------------------------------
    @precondition(lambda self: self.outbox)
    @rule(number=NUMBERS, guess=NUMBERS, kept=st.booleans())
    def relay_begins(self, number: int, guess: int, kept: bool) -> None:
        """With any row, in any order; a row that is kept comes again, as after a relay that died before it could delete it."""
        entry, version, body = self.outbox[number % len(self.outbox)]
        if not kept:
            del self.outbox[number % len(self.outbox)]
        guesses = [None, ABSENT, *(stored for name, stored in self.seen if name == entry)]
        bucket = DirectoryBucket(Wire(self.bucket))  # type: ignore[arg-type]
        relay = Walk(bucket.put_newer(entry, version, body, guesses[guess % len(guesses)]), (BusAway,))
        if not relay.ended:
            self.relays.append(relay)

    @precondition(lambda self: self.relays)
    @rule(number=NUMBERS, outcome=st.sampled_from(OUTCOMES))
    def relay_goes_on(self, number: int, outcome: Outcome) -> None:
        relay = self.relays[number % len(self.relays)]
        self.fenced(lambda: relay.step(outcome), crossed=relay in self.crossed)
        self.relays = [relay for relay in self.relays if not relay.ended]

    @rule()
    def relay_all(self) -> None:
        """The one that works: every row, in order."""
        for entry, version, body in self.outbox:
            bucket = DirectoryBucket(Wire(self.bucket))  # type: ignore[arg-type]
            self.fenced(Walk(bucket.put_newer(entry, version, body), ()).through)
        self.outbox.clear()

    @precondition(lambda self: self.bucket.late)
    @rule(number=NUMBERS)
    def a_late_put_arrives(self, number: int) -> None:
        put = self.bucket.late.pop(number % len(self.bucket.late))
        entry, body, expected = put

        def arrive() -> None:
            if self.bucket.held.get(entry, (0, b""))[0] == expected:
                self.bucket.take(entry, body, expected)

        self.fenced(arrive, crossed=any(put is it for it in self.crossed))

    def fenced(self, act: Any, *, crossed: bool = False) -> None:
        """Whatever is put: within one bucket no entry goes back to an older version. A put that was begun in the bucket before has its
        fence from there; where the sequences meet, what it does is mended by the next comparison with the tables.
        """
        before = {entry: version_of(body) for entry, (_, body) in self.bucket.held.items()}
        act()
        for entry, (sequence, body) in self.bucket.held.items():
            assert crossed or version_of(body) >= before.get(entry, 0), entry
            self.seen.append((entry, Stored(version_of(body), sequence)))
        del self.seen[:-30]

    # ---- the bucket's own fate -----------------------------------------------------------------------------------------
    @rule()
    def back_up(self) -> None:
        self.backups.append((self.bucket.created, self.bucket.last, dict(self.bucket.held)))

    @precondition(lambda self: self.backups)
    @rule(number=NUMBERS)
    def restore(self, number: int) -> None:
        """An older state under its old identity: its sequences come a second time."""
        self.bucket.created, self.bucket.last, held = self.backups[number % len(self.backups)]
        self.bucket.held = dict(held)
        self.went_back = True
        self.leave_bucket()

    @rule()
    def make_anew(self) -> None:
        """An empty bucket; accounts fills it from its tables, row by row."""
        self.bucket.created = str(int(self.bucket.created) + 1)
        self.bucket.last, self.bucket.held = 0, {}
        self.outbox += [(entry, len(of), msgspec.json.encode(of[-1])) for entry, of in self.history.items()]
        self.leave_bucket()

    def leave_bucket(self) -> None:
        """What is under way to it arrives at the next one; everybody is cut off."""
        self.crossed += [*self.relays, *self.bucket.late]
        for gateway in self.gateways:
            gateway.deafen()
            gateway.listen()

    # ---- the gateways --------------------------------------------------------------------------------------------------
    @rule(number=NUMBERS, count=st.integers(1, 4), again=st.booleans())
    def hear(self, number: int, count: int, again: bool) -> None:
        """What was republished, in its order; now and then twice."""
        gateway = self.gateways[number % 2]
        for message in gateway.inbox[:count]:
            gateway.hear(message)
        if again and gateway.inbox:
            gateway.hear(gateway.inbox[0])
        del gateway.inbox[:count]

    @rule(number=NUMBERS)
    def lose(self, number: int) -> None:
        """What was on its way is lost, although the connection holds."""
        del self.gateways[number % 2].inbox[:1]

    @rule(number=NUMBERS, connected=st.booleans())
    def connection(self, number: int, connected: bool) -> None:
        """Lost with all that was on its way, or found again."""
        gateway = self.gateways[number % 2]
        gateway.wire.is_connected = connected
        gateway.deafen()
        gateway.listen()

    @rule(number=NUMBERS, outcome=st.sampled_from(OUTCOMES))
    def look(self, number: int, outcome: Outcome) -> None:
        """A look at the bucket begins, or goes on by one operation."""
        gateway = self.gateways[number % 2]
        if gateway.look is None:
            gateway.look = Walk(gateway.feed._look(), (TimeoutError,))
        else:
            gateway.look.step(outcome)
        if gateway.look.ended:
            gateway.look = None

    @rule(number=NUMBERS)
    def look_to_the_end(self, number: int) -> None:
        self.look_through(self.gateways[number % 2])

    @staticmethod
    def look_through(gateway: Gateway) -> None:
        look = gateway.look or Walk(gateway.feed._look(), (TimeoutError,))
        look.through()
        gateway.look = None

    @rule(number=NUMBERS, heard=st.integers(0, 3), killed=st.booleans())
    def save(self, number: int, heard: int, killed: bool) -> None:
        """The last-known-good file; meanwhile more is heard, or the process dies before the file is in place for good."""
        gateway = self.gateways[number % 2]
        asyncio.run(self._save(gateway, heard, killed=killed))

    async def _save(self, gateway: Gateway, heard: int, *, killed: bool) -> None:
        file = gateway.file
        file.loop, file.feed, file.killed = asyncio.get_running_loop(), gateway.feed, killed
        file.heard, gateway.inbox[:heard] = gateway.inbox[:heard], []
        try:
            await gateway.feed._save()
        except Killed:
            gateway.kill()
            gateway.start(connected=True)
        file.killed, file.heard = False, []

    @rule(number=NUMBERS, full=st.booleans())
    def disk(self, number: int, *, full: bool) -> None:
        """Full, or with room again: what could not be written is not acknowledged."""
        self.gateways[number % 2].file.full = full

    @rule(number=NUMBERS, connected=st.booleans())
    def restart(self, number: int, connected: bool) -> None:
        """Killed, and started again on the same disk, with or without a bus."""
        gateway = self.gateways[number % 2]
        gateway.kill()
        gateway.start(connected=connected)

    # ---- requests ------------------------------------------------------------------------------------------------------
    @rule(number=NUMBERS)
    def requests_begin(self, number: int) -> None:
        """With every secret; who is let in goes on asking, see the invariants."""
        gateway = self.gateways[number % 2]
        for key, plaintexts in PLAINTEXTS.items():
            for plaintext in plaintexts:
                caller = gateway.asks(plaintext)
                if caller is not None:
                    assert self.may(gateway, key, DIGESTS[plaintext]), "a closed key was let in"
                    gateway.under_way.append((key, caller))
        del gateway.under_way[:-8]

    def may(self, gateway: Gateway, key: str, digest: str | None) -> bool:
        """Whether anything that accounts has said lets the key in, nothing of it older than what the gateway acknowledged."""
        return all(any(self.opens(it, digest) for it in self.since(gateway, entry)) for entry in NEEDED[key])

    def since(self, gateway: Gateway, entry: str) -> list[Record]:
        floor = gateway.floors.get(entry)
        return self.history[entry][floor.version - 1 if floor else 0 :]

    def opens(self, record: Record, digest: str | None) -> bool:
        if record.status != "active":
            return False
        if digest is None or not isinstance(record, KeyRecord):
            return True
        return any(it.digest == digest and (it.not_after is None or self.clock[0] < it.not_after) for it in record.secrets)

    # ---- always --------------------------------------------------------------------------------------------------------
    @invariant()
    def nothing_is_let_in_that_was_acknowledged_as_closed(self) -> None:
        for gateway in self.gateways:
            gateway.acknowledge()
            for key, plaintexts in PLAINTEXTS.items():
                for plaintext in plaintexts:
                    if not self.may(gateway, key, DIGESTS[plaintext]):
                        assert gateway.asks(plaintext) is None

    @invariant()
    def no_request_under_way_brings_a_closed_key_back(self) -> None:
        """Its body has arrived, its grant has come, its upstream has failed: it asks whether it may still go on."""
        for gateway in self.gateways:
            for key, caller in gateway.under_way:
                if not self.may(gateway, key, None):
                    assert not gateway.identify.still_valid(caller)

    @invariant()
    def what_is_acknowledged_is_applied(self) -> None:
        """By sequence, as accounts reads it: `effective on n gateways` is true. (Not where a bucket's sequences came twice.)"""
        for gateway in self.gateways:
            if gateway.feed._created == self.bucket.created and not self.went_back:
                known = gateway.view.snapshot()
                for entry, (sequence, body) in self.bucket.held.items():
                    if sequence <= gateway.feed._acknowledged and known.get(entry) != body:
                        assert version_of(known[entry]) >= version_of(body)


class _Version(msgspec.Struct):
    version: int = 0


def version_of(body: bytes) -> int:
    return msgspec.json.decode(body, type=_Version).version


Revocations.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestRevocations = Revocations.TestCase


def test_the_machine_admits_and_refuses() -> None:
    """So that the law above is not kept by refusing everybody: an ordinary life of a key, step by step."""
    world = Revocations()
    world.fill()
    (first, second), member = world.gateways, HELD[0]
    assert all(gateway.asks(key) for gateway in world.gateways for key in KEYS)
    world.change(member, status="suspended")
    world.relay_all()
    world.hear(0, 4, again=True)
    assert [bool(gateway.asks(KEYS[0])) for gateway in world.gateways] == [False, True]
    assert first.asks(KEYS[1])
    world.change(member, status="active")
    world.rotate(KEYS[1], 1, 2)
    world.relay_all()
    for gateway in world.gateways:
        world.look_through(gateway)
        gateway.acknowledge()
    assert all(gateway.asks(plaintext) for gateway in world.gateways for plaintext in (KEYS[0], *PLAINTEXTS[KEYS[1]][:2]))
    world.time_passes(2)
    assert [bool(second.asks(plaintext)) for plaintext in PLAINTEXTS[KEYS[1]]] == [False, True, False]
    asyncio.run(world._save(second, 0, killed=False))
    world.change_key(KEYS[0], "revoked")
    world.relay_all()
    world.hear(1, 4, again=False)
    world.restart(1, connected=False)
    assert [bool(second.asks(plaintext)) for plaintext in (KEYS[0], PLAINTEXTS[KEYS[1]][1])] == [False, True]
    world.teardown()


def test_what_is_heard_while_the_file_is_written_outlives_the_process() -> None:
    """The journal is begun anew only where the file has all of it."""
    world = Revocations()
    world.fill()
    (first, _), member = world.gateways, HELD[0]
    world.change(member, status="suspended")
    world.relay_all()
    world.hear(0, 1, again=False)
    world.change_key(KEYS[1], "revoked")
    world.relay_all()
    asyncio.run(world._save(first, 1, killed=False))
    world.restart(0, connected=False)
    assert [first.asks(key) for key in KEYS] == [None, None]
    world.teardown()


def test_an_older_state_of_the_bucket_opens_nothing_after_a_restart() -> None:
    """Although the gateway had never written its file when it was killed: the journal alone remembers."""
    world = Revocations()
    world.fill()
    first = world.gateways[0]
    world.back_up()
    world.change_key(KEYS[1], "revoked")
    world.relay_all()
    world.hear(0, 1, again=False)
    world.restart(0, connected=True)
    world.restore(0)
    world.look_through(first)
    assert [bool(first.asks(key)) for key in KEYS] == [True, False]
    world.teardown()


def test_what_a_full_disk_did_not_take_is_not_acknowledged() -> None:
    """It counts at once, but the others are told only when it would survive."""
    world = Revocations()
    world.fill()
    first = world.gateways[0]
    first.file.full = True
    world.change_key(KEYS[1], "revoked")
    world.relay_all()
    before = first.feed._acknowledged
    world.hear(0, 1, again=False)
    assert (first.asks(KEYS[1]), first.feed._acknowledged) == (None, before)
    first.file.full = False
    world.look_through(first)
    assert first.feed._acknowledged == world.bucket.last > before
    world.teardown()


def test_members_are_records_like_others() -> None:
    """The machine's table of entries knows each kind."""
    assert type_of(entry_of(HELD[0])) is MemberRecord
