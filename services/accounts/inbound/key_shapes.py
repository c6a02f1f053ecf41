"""Wire models of API keys."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from pydantic import AfterValidator, Field

from accounts.domain.networks import normalized
from accounts.domain.objects import Key
from accounts.domain.rotation import due_at, old_secret_until, stops_at
from accounts.inbound.limits import LimitsAnswer, LimitsBody
from accounts.inbound.wire import UNSET, Answer, Body, EffectiveAnswer, Models, Moment, Name, Text
from common.contracts.directory import EndpointScope

LONGEST_OVERLAP_SECONDS = 30 * 86_400


def _future(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise ValueError("must lie in the future")
    return moment


def _network(text: str) -> str:
    try:
        return normalized(text)
    except ValueError:
        raise ValueError("is no network in CIDR notation, like 203.0.113.0/24 or 2001:db8::/48") from None


def _scopes_once(scopes: list[EndpointScope]) -> list[EndpointScope]:
    return list(dict.fromkeys(scopes))


def _once(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))


KeyStatus = Literal["active", "suspended", "revoked"]
KeyLabel = Literal["live", "test"]
OwnerId = Annotated[
    UUID,
    Field(
        strict=False,
        description="An active member or service account of the organization; anybody but yourself needs `keys.manage`. "
        "The key lives only while its owner is active there.",
    ),
]
Scopes = Annotated[
    list[EndpointScope],
    Field(min_length=1, max_length=20, description="Families of endpoints that it may call, no others; null = all"),
    AfterValidator(_scopes_once),
]
KeyModels = Annotated[Models | None, Field(description="What it may use, nothing else; null = all that the project may")]
Network = Annotated[Text, Field(min_length=2, max_length=60), AfterValidator(_network)]
Networks = Annotated[
    list[Network],
    Field(
        min_length=1,
        max_length=100,
        examples=[["203.0.113.0/24", "2001:db8::/48"]],
        description="Where it may be used from, as CIDR blocks (IPv4, IPv6), nowhere else; null = everywhere",
    ),
    AfterValidator(_once),
]
KeyLimits = Annotated[
    LimitsBody,
    Field(description="Its own, none above what is in force for the project at that time; later the lower of both counts"),
]
TagName = Annotated[Text, Field(min_length=1, max_length=64)]
TagValue = Annotated[Text, Field(max_length=256)]
Tags = Annotated[dict[TagName, TagValue], Field(max_length=20, description="Travel into telemetry, with every request")]
Expiry = Annotated[Moment, AfterValidator(_future)]
RotateDays = Annotated[
    int | None,
    Field(
        ge=1,
        le=365,
        description="Within how many days of its last rotation the key has to be rotated; null = never. Nobody can be handed a "
        "new secret silently, so rotating stays your act: notices go out 14, 7 and 1 days before the due date and on it, and a "
        "secret that has not been rotated by then stops working `overlap_seconds` after it.",
    ),
]
OverlapSeconds = Annotated[
    int,
    Field(
        ge=0,
        le=LONGEST_OVERLAP_SECONDS,
        description="How long the old secret lives on after a rotation, and an overdue one after its due date; 0 = not at all",
    ),
]


class NewKeyBody(Body):
    """A new key."""

    name: Name
    label: KeyLabel = "live"
    owner_id: Annotated[OwnerId | None, Field(description="null = you")] = None
    scopes: Scopes | None = None
    models: KeyModels = None
    networks: Networks | None = None
    limits: KeyLimits = LimitsBody()
    tags: Tags = Field(default_factory=dict)
    expires_at: Annotated[Expiry | None, Field(examples=["2027-01-31T12:00:00Z"])] = None
    rotate_days: RotateDays = None
    overlap_seconds: OverlapSeconds = 86_400


class KeyChanges(Body):
    """Fields to change; the others stay, also within `limits`."""

    name: Name = UNSET
    label: KeyLabel = UNSET
    status: Annotated[
        Literal["active", "suspended"], Field(description="Suspend and reinstate; a revoked key stays so for ever")
    ] = UNSET
    owner_id: OwnerId = UNSET
    scopes: Scopes | None = None
    models: KeyModels = None
    networks: Networks | None = None
    limits: KeyLimits = UNSET
    tags: Tags = UNSET
    expires_at: Expiry | None = None
    rotate_days: RotateDays = None
    overlap_seconds: OverlapSeconds = UNSET


class RotationBody(Body):
    """How to rotate."""

    overlap_seconds: Annotated[OverlapSeconds | None, Field(description="null = what the key says; 0 = the old dies at once")] = (
        None
    )


class OwnerAnswer(Answer):
    """Who owns a key."""

    kind: Literal["member", "service_account"]
    id: str


class RotationAnswer(Answer):
    """Where the rotation of a key stands."""

    rotate_days: int | None
    overlap_seconds: int
    rotated_at: datetime | None
    next_rotation_at: datetime | None = Field(description="When it is due; null = it has no schedule")
    stops_working_at: datetime | None = Field(description="When its newest secret dies unless the key is rotated before")
    old_secret_until: datetime | None = Field(description="Until when two secrets live; null = there is only one")


class KeyAnswer(Answer):
    """A key, without its secret."""

    id: str
    project_id: str
    organization_id: str
    name: str
    hint: str = Field(description="What to recognize it by")
    label: str
    status: str
    owner: OwnerAnswer | None
    scopes: list[str] | None
    models: list[str] | None
    networks: list[str] | None
    limits: LimitsAnswer
    tags: dict[str, str]
    expires_at: datetime | None
    last_used_at: datetime | None = Field(
        description="The minute of its latest request that usage has told of; raises no version. Requests of a minute in which "
        "this service or usage was restarted may be missing."
    )
    rotation: RotationAnswer
    created_by: str
    created_at: datetime
    updated_at: datetime
    revoked_at: datetime | None
    version: int


class ChangedKeyAnswer(KeyAnswer):
    """A key after a change."""

    effective: EffectiveAnswer


class IssuedKeyAnswer(ChangedKeyAnswer):
    """A key with the plaintext of its newest secret."""

    key: str = Field(description="The key itself: shown now and never again")


def key_answer(key: Key) -> KeyAnswer:
    """A key as it is shown."""
    owner = {"kind": key.owner_kind, "id": key.owner_id} if key.owner_id else None
    return KeyAnswer.model_validate({**msgspec.structs.asdict(key), "owner": owner, "rotation": _rotation(key)})


def _rotation(key: Key) -> RotationAnswer:
    return RotationAnswer(
        rotate_days=key.rotate_days,
        overlap_seconds=key.overlap_seconds,
        rotated_at=key.rotated_at,
        next_rotation_at=due_at(key),
        stops_working_at=stops_at(key),
        old_secret_until=old_secret_until(key, datetime.now(UTC)),
    )
