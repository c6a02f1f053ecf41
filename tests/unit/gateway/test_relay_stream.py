"""How a relayed stream ends: what the client gets last, and what is booked."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from nats.aio.client import Client

from common.contracts.directory import KeyRecord, Limits, OrganizationRecord, ProjectRecord
from common.contracts.grants import ScopeAnswer
from common.contracts.prices import built_in_book
from gateway.domain.calendar import Calendar
from gateway.domain.caller import join
from gateway.domain.learned_usage import LearnedUsage
from gateway.domain.routing import Candidate, Routes, make_route
from gateway.domain.run import Run
from gateway.outbound.event_spool.errors import SpoolFull
from gateway.outbound.event_spool.spool import EventSpool
from gateway.outbound.grants import Grants
from gateway.outbound.meters import Meters
from gateway.outbound.upstream.exchange import Exchange
from gateway.use_cases.call_upstream import Opened
from gateway.use_cases.extend_hold import ExtendHold
from gateway.use_cases.plan_request import PlanRequest
from gateway.use_cases.relay_stream import ActiveStreams, RelayedStream
from gateway.use_cases.settle_request import SettleRequest
from gateway.use_cases.take_hold import TakeHold
from tests.unit.gateway.spool_makers import SMALLEST_SEGMENT, make_attempt, make_start

BOOK = built_in_book()
CANDIDATE = Candidate("u", "gpt-4o", b'"gpt-4o"', BOOK.find("gpt-4o"), family="o200k_base")
ROUTE = make_route("fast", (CANDIDATE,))
ROUTES = Routes(tiers={"fast": ROUTE, "deep": ROUTE}, models={}, prefixes={}, deep_from_characters=100, default_output_cap=500)


def event(**choice: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


BEYOND_THE_SLICE = event(delta={"content": "x" * 4_000}, finish_reason=None)
STOP = event(delta={}, finish_reason="stop")
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1333, "total_tokens": 1342}}\n\n'
DONE = b"data: [DONE]\n\n"


class Rig:
    """A sliced stream whose hold is exactly its first slice, unless more was `granted`: nobody can be asked for the next one."""

    def __init__(self, folder: Path, *pieces: bytes, granted: int = 0, wait_seconds: float = 0.05, **asked: object) -> None:
        grants = Grants(Client(), gateway="g", boot="b", expected=(100, 0))
        take_hold = TakeHold(grants, Calendar())
        self.spool = EventSpool.open(folder, segment_bytes=SMALLEST_SEGMENT, max_bytes=16 * SMALLEST_SEGMENT)
        self.learned = LearnedUsage()
        plan = PlanRequest(ROUTES, take_hold.calendar, take_hold, self.learned, lambda *_: None, BOOK.dearest(), 0.05)
        self.run = self._admitted(plan, take_hold, granted, asked)
        self.spool.start(make_start(self.run.event_id))
        answer = Exchange(asyncio.get_running_loop(), None)
        answer.parts = list(pieces[1:])
        answer.end(None)
        self.stream = RelayedStream(
            self.run,
            Opened(answer, pieces[0], CANDIDATE, 1, self.run.began),
            SettleRequest(self.spool, Meters(), self.learned, BOOK.version),
            ActiveStreams(),
            None,
            ExtendHold(take_hold, self.spool, wait_seconds),
        )

    @staticmethod
    def _admitted(plan: PlanRequest, take_hold: TakeHold, granted: int, asked: dict[str, object]) -> Run:
        organization = OrganizationRecord(organization_id="o", version=1, status="active")
        limits = Limits(version=1, monthly_tokens=10**6)
        project = ProjectRecord(
            project_id="p", organization_id="o", version=1, status="active", limits=limits, budget_mode="sliced"
        )
        key = KeyRecord(
            key_id="k", lookup="l", project_id="p", organization_id="o", version=1, status="active", secrets=(), expires_at=None
        )
        body = json.dumps(
            {"model": "fast", "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 5_000, **asked}
        ).encode()
        run = plan(join(key, project, organization, None), body, None, "/v1/chat/completions")
        tokens, nanousd = run.estimate.tokens, run.estimate.nanousd
        for account, _ in run.standing.limited:
            account.take_answer(
                ScopeAnswer(
                    scope=account.scope,
                    scope_id=account.scope_id,
                    period=account.period,
                    seq=1,
                    status="granted",
                    granted_tokens=max(tokens, granted),
                )
            )
        assert take_hold.take_now(run.hold, run.standing, tokens, nanousd)
        run.candidate = CANDIDATE
        return run

    @property
    def held(self) -> int:
        """By the account of its budget."""
        return self.run.standing.limited[0][0].reserved_tokens

    async def heard(self) -> bytes:
        """All that the client gets."""
        got = b""
        while chunk := await self.stream.next_chunk():
            got += chunk
        self.spool.close()
        return got


@pytest.mark.parametrize(
    "pieces",
    [
        (BEYOND_THE_SLICE + STOP + USAGE + DONE,),
        (BEYOND_THE_SLICE + STOP + DONE,),
        (BEYOND_THE_SLICE + STOP, USAGE + DONE),
    ],
    ids=["all at once", "without usage", "usage later"],
)
async def test_a_stream_that_is_complete_needs_no_further_slice(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    """Its last chunk may pass the slice: it ends as the provider ended it, once, and is no failure."""
    rig = Rig(tmp_path, *pieces)
    heard = await rig.heard()
    assert rig.stream.failure is None
    assert heard.count(b'"finish_reason"') - heard.count(b'"finish_reason": null') == 1
    assert b'"length"' not in heard
    assert heard.endswith(DONE)
    assert rig.run.settled
    assert rig.run.attempts[0].outcome == ("ok" if USAGE in b"".join(pieces) else "usage_missing")


async def test_a_stream_that_has_come_to_its_last_byte_needs_none(tmp_path: Path) -> None:
    """Nor one whose provider ends without saying so, in an event that is not finished."""
    rig = Rig(tmp_path, BEYOND_THE_SLICE[:-2])
    assert await rig.heard() == BEYOND_THE_SLICE[:-2]
    assert (rig.stream.failure, rig.run.attempts[0].outcome) == (None, "usage_missing")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        event(delta={"content": "Sure: [DONE] data: [DONE]\n\n"}, finish_reason=None),
        event(delta={"content": "a"}, finish_reason="stop"),
        STOP,
        STOP + event(delta={"content": [{"type": "text", "text": "a"}]}, finish_reason="stop"),
    ],
    ids=["nothing", "done in its text", "stop with every event", "stop alone", "content in parts"],
)
async def test_a_stream_that_goes_on_without_a_further_slice_is_ended(tmp_path: Path, said: bytes) -> None:
    """The other side of it, whatever was said of its end before: its choices end as at a cap, and the failure says why."""
    rig = Rig(tmp_path, said + BEYOND_THE_SLICE, BEYOND_THE_SLICE + STOP + USAGE + DONE)
    heard = await rig.heard()
    assert rig.stream.failure is not None
    assert heard.count(b'"length"') == 1
    assert DONE not in heard


async def test_a_client_that_leaves_while_a_slice_is_awaited(tmp_path: Path) -> None:
    """The slice does not come: the stream is booked at what has come, and nothing stays held."""
    rig = Rig(tmp_path, BEYOND_THE_SLICE, BEYOND_THE_SLICE + STOP + USAGE + DONE, wait_seconds=0.5)
    first_slice = rig.held
    reading = asyncio.create_task(rig.stream.next_chunk())
    await asyncio.sleep(0.1)
    assert not reading.done()
    assert rig.held == first_slice > 0
    rig.stream.client_left()
    await reading
    assert (rig.run.settled, rig.run.attempts[0].outcome, rig.held) == (True, "client_closed", 0)
    assert rig.run.attempts[0].usage.completion_tokens >= 1_000
    rig.spool.close()


async def test_what_was_seen_counts_up_to_the_cap(tmp_path: Path) -> None:
    """A digit is seen as a token, though three may be one: beyond the cap that was asked for there is no output."""
    digits = event(delta={"content": "1234567890" * 30}, finish_reason=None)
    rig = Rig(tmp_path, *[digits] * 10, max_tokens=1_000)
    await rig.heard()
    assert (rig.stream.failure, rig.run.attempts[0].outcome) == (None, "usage_missing")
    assert rig.run.attempts[0].usage.completion_tokens == 1_000


async def test_a_prediction_that_failed_is_held_and_teaches_nothing(tmp_path: Path) -> None:
    """It is billed and not streamed, like thoughts; the next answer of the key's has other ones."""
    short = event(delta={"content": "x" * 300}, finish_reason=None)
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2100, "total_tokens": 2109}}\n\n'
    for prediction, hidden in (({"type": "content", "content": "x" * 6_000}, 0), (None, 2_000)):
        asked = {"prediction": prediction} if prediction else {}
        rig = Rig(tmp_path / str(hidden), short + STOP + usage + DONE, **asked)
        await rig.heard()
        assert rig.stream.failure is None
        assert rig.run.estimate.completion_tokens >= (3_000 if prediction else 1_000)
        shape = rig.learned.shape("k", "fast")
        assert shape is not None
        assert abs(shape.hidden_output - hidden) < 5


def append_until_full(append: Callable[[int], None]) -> None:
    """Fails where it never comes to that."""
    with suppress(SpoolFull):
        for number in range(100_000):
            append(number)
        pytest.fail("the spool is never full")


async def test_a_slice_that_cannot_be_written_down_ends_the_stream(tmp_path: Path) -> None:
    """The disk is full: what would be held is not on record, so the stream ends, is booked and holds nothing any more."""
    rig = Rig(tmp_path, BEYOND_THE_SLICE, BEYOND_THE_SLICE + STOP + USAGE + DONE, granted=10**6)
    append_until_full(lambda number: rig.spool.start(make_start(f"another-{number}", end_user="x" * 60_000)))
    append_until_full(lambda _: rig.spool.attempt(make_attempt("another-0")))
    heard = await rig.heard()
    assert rig.stream.failure is not None
    assert rig.stream.failure.code == "spool_full"
    assert heard.count(b'"length"') == 1
    assert (rig.run.settled, rig.held) == (True, 0)
    assert rig.spool.folder.last == 1
