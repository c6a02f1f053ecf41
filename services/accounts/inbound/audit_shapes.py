"""An entry of the audit log on the wire: as JSON, and as a row of a spreadsheet."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from accounts.domain.audit import AuditEntry
from accounts.domain.principal import PrincipalKind
from accounts.inbound.wire import Answer

Format = Literal["ndjson", "csv"]
MEDIA_TYPES: Mapping[Format, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
COLUMNS = (
    *("id", "at", "organization_id", "actor_kind", "actor_id", "actor_name", "action", "object_kind", "object_id"),
    *("address", "agent", "request_id", "before", "after"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class ActorAnswer(Answer):
    """Who did it."""

    kind: PrincipalKind = Field(description="`system`: the service itself; `anonymous`: without a token")
    id: str | None = Field(description="A user or a service account")
    name: str = Field(description="As it was then; of a refused sign-in the email that was tried", examples=["ada@example.com"])


class OriginAnswer(Answer):
    """From where; empty where the service itself did it."""

    address: str = Field(examples=["192.0.2.7"])
    agent: str = Field(description="As the program called itself (User-Agent)")
    request_id: str = Field(description="The answer's header X-Request-Id")


class AuditAnswer(Answer):
    """An entry of the audit log. Secrets and their digests are never in it."""

    id: str
    at: datetime
    organization_id: str | None = Field(description="null = concerns the installation")
    actor: ActorAnswer
    action: str = Field(description="One of those that the filter knows", examples=["key.issued"])
    object_kind: str = Field(description="The first word of the action", examples=["key"])
    object_id: str | None
    origin: OriginAnswer
    before: dict[str, Any] | None = Field(description="Of a change the fields that changed, as they were; null for what was made")
    after: dict[str, Any] | None = Field(description="The same fields as they are since; null for what was removed")


def as_ndjson(entries: Iterable[AuditEntry]) -> bytes:
    """A line of JSON for each, in the shape of the list."""
    return b"".join(AuditAnswer.model_validate(entry).model_dump_json().encode() + b"\n" for entry in entries)


def as_csv(entries: Iterable[AuditEntry]) -> bytes:
    """A row for each (RFC 4180)."""
    return _written([_cells(entry) for entry in entries])


def csv_header() -> bytes:
    """The first row."""
    return _written([COLUMNS])


RENDERERS: Mapping[Format, Callable[[Iterable[AuditEntry]], bytes]] = {"ndjson": as_ndjson, "csv": as_csv}
HEADERS: Mapping[Format, Callable[[], bytes]] = {"ndjson": bytes, "csv": csv_header}


def _written(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cells(entry: AuditEntry) -> list[str]:
    actor, origin = entry.actor, entry.origin
    texts = (
        *(entry.id, entry.at.isoformat(), entry.organization_id, actor.kind, actor.id, actor.name, entry.action),
        *(entry.object_kind, entry.object_id, origin.address, origin.agent, origin.request_id),
        *(_document(entry.before), _document(entry.after)),
    )
    return [_harmless(text or "") for text in texts]


def _document(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _harmless(text: str) -> str:
    """What a spreadsheet would take for a formula gets an apostrophe in front: names and agents are chosen by strangers."""
    return f"'{text}" if text.startswith(_FORMULA) else text
