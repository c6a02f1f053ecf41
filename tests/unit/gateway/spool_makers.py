"""Starts, ends and boots for the tests of the spool."""

from pathlib import Path

import msgspec

from common.contracts.events import RequestSettled
from gateway.outbound.event_spool.boot_folder import BootFolder
from gateway.outbound.event_spool.framing import MAX_PAYLOAD, OVERHEAD
from gateway.outbound.event_spool.records import AttemptHold, Start
from gateway.outbound.event_spool.spool import EventSpool

SMALLEST_SEGMENT = 2 * (MAX_PAYLOAD + OVERHEAD)
decode = msgspec.json.Decoder(RequestSettled).decode


def make_start(event_id: str, *, prompt: int = 10, completion: int = 100, nanousd: int = 5_000, end_user: str = "") -> Start:
    """A start with that hold."""
    return Start(
        event_id=event_id,
        organization_id="organization",
        project_id="project",
        key_id="key",
        endpoint="chat",
        model_requested="auto",
        model="sim-fast-1",
        tier="fast",
        stream=False,
        admitted_at=1_795_000_000_000,
        period_day="2026-11-23",
        period_month="2026-11",
        upstream="simulated",
        price_version="1",
        hold_prompt_tokens=prompt,
        hold_completion_tokens=completion,
        hold_nanousd=nanousd,
        end_user=end_user or None,
    )


def make_attempt(event_id: str, number: int = 2, *, previous_unbilled: bool = False, nanousd: int = 5_000) -> AttemptHold:
    """A further hold."""
    return AttemptHold(
        event_id=event_id,
        number=number,
        upstream="simulated",
        model="sim-fast-2",
        hold_prompt_tokens=10,
        hold_completion_tokens=100,
        hold_nanousd=nanousd,
        previous_outcome="timeout",
        previous_unbilled=previous_unbilled,
    )


def make_end(event_id: str, *, tags: dict[str, str] | None = None, boot: str = "", gateway: str = "") -> RequestSettled:
    """An end that was paid for."""
    return RequestSettled(
        event_id=event_id,
        request_id=event_id,
        gateway=gateway,
        boot=boot,
        organization_id="organization",
        project_id="project",
        key_id="key",
        endpoint="chat",
        model_requested="auto",
        status="ok",
        http_status=200,
        admitted_at=1_795_000_000_000,
        finished_at=1_795_000_000_900,
        period_day="2026-11-23",
        period_month="2026-11",
        prompt_tokens=7,
        completion_tokens=9,
        usage_source="provider",
        cost_nanousd=42,
        cost_status="exact",
        tags=tags or {},
    )


def open_spool(folder: Path, *, max_bytes: int = 64 * SMALLEST_SEGMENT) -> EventSpool:
    """A spool with the smallest segments."""
    return EventSpool.open(folder, segment_bytes=SMALLEST_SEGMENT, max_bytes=max_bytes)


def events_of(folder: BootFolder, first: int = 1) -> list[RequestSettled]:
    """All its ends from number `first` on, read from the files."""
    return [decode(payload) for payload in folder.read(first, folder.last)]


def ids_of(folder: BootFolder, first: int = 1) -> list[str]:
    """The event ids of its ends, in the order of their numbers."""
    return [event.event_id for event in events_of(folder, first)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every segment of a boot, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.seg"))}
