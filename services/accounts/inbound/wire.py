"""What the wire models share: strict fields with sane bounds, times, identifiers, pages."""

from datetime import datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from accounts.domain.page import Page, PageAsk
from accounts.domain.slugs import SLUG_LENGTH, SLUG_PATTERN

LARGEST = 2**63 - 1
UNSET: Any = None
"""The default of a PATCH field that may be left out but not be null; only fields that were given are applied."""


def _writable(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):  # JSON allows lone surrogates, UTF-8 does not
        raise ValueError("is not text")
    return text


def _plain(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("may not contain control characters")
    return text


def _named(text: str) -> str:
    if not text.strip():
        raise ValueError("may not be blank")
    return text.strip()


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("is not a time zone of the IANA database, like Europe/Berlin")
    return name


@cache
def _zones() -> set[str]:
    return available_timezones() | {"UTC"}


def _written_time(value: object) -> object:
    if isinstance(value, datetime) or value is None:
        return value
    if not isinstance(value, str) or not value[:4].isdigit() or "T" not in value.upper():
        raise ValueError("write it as RFC 3339, like 2027-01-31T12:00:00Z")
    return value


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


AnyText = Annotated[str, AfterValidator(_writable)]
Text = Annotated[AnyText, AfterValidator(_plain)]
Name = Annotated[Text, Field(min_length=1, max_length=200), AfterValidator(_named)]
Email = Annotated[
    Text, Field(max_length=254, pattern=r'^[^@\s<>()\[\]\\,;:"]{1,64}@[^@\s<>()\[\]\\,;:"]+$', examples=["ada@example.com"])
]
NewPassword = Annotated[AnyText, Field(min_length=8, max_length=1024, description="At least 8 characters")]
Slug = Annotated[str, Field(min_length=1, max_length=SLUG_LENGTH, pattern=SLUG_PATTERN)]
ZoneName = Annotated[Text, Field(max_length=64, examples=["Europe/Berlin"]), AfterValidator(_known_zone)]
ModelName = Annotated[Text, Field(min_length=1, max_length=200)]
Models = Annotated[list[ModelName], Field(max_length=200), AfterValidator(_once)]
Amount = Annotated[int, Field(ge=0, le=LARGEST)]
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written_time)]
Identifier = Annotated[UUID, Path()]


class Body(BaseModel):
    """A request body: nothing unknown, nothing converted."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class Answer(BaseModel):
    """A response body, made from an object's attributes."""

    model_config = ConfigDict(from_attributes=True)


class EffectiveAnswer(Answer):
    """Where a change has been applied by now."""

    gateways: int = Field(description="Gateways alive")
    acknowledged: int = Field(description="Those of them that have applied the change")
    milliseconds: int
    pending: bool = Field(description="It will arrive, but has not been seen everywhere yet")


Item = TypeVar("Item")


class Listing(BaseModel, Generic[Item]):
    """A page of a list."""

    data: list[Item]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null = that was all.")


AnswerItem = TypeVar("AnswerItem", bound=Answer)


def listing(page: Page[Any], shape: type[AnswerItem]) -> Listing[AnswerItem]:
    """A page of objects as wire models."""
    return Listing[AnswerItem](data=[shape.model_validate(item) for item in page.data], next_cursor=page.next_cursor)


async def _page_ask(
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most")] = 50,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
) -> PageAsk:
    return PageAsk(limit, None if cursor is None else str(cursor))


PageWanted = Annotated[PageAsk, Depends(_page_ask)]
