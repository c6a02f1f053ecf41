"""An envelope taken apart: the rows that can be booked, and what must be parked, with its reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from common.contracts.events import RequestSettled
from common.contracts.prices import PriceBook
from usage.domain.receipts import BadHeaders, Receipt, receipt_of
from usage.domain.settled_rows import BadEvent, SettledRow, row_of

_whole = msgspec.json.Decoder(list[RequestSettled])
_pieces = msgspec.json.Decoder(list[msgspec.Raw])
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""The escape, not a backslash that is written as two before the same five characters."""

_one = msgspec.json.Decoder(RequestSettled)


@dataclass(frozen=True, slots=True)
class Parked:
    """A body that can never be booked, and why."""

    body: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of one message; without readable headers there is no receipt, and nothing of it can be acknowledged as numbers."""

    rows: tuple[SettledRow, ...]
    receipt: Receipt | None
    parked: Parked | None = None
    mismatched: bool = False
    """The headers promise another number of events than came."""


def open_envelope(body: bytes, headers: Mapping[str, str], book: PriceBook) -> Envelope:
    """Never raises: bad events are parked alone, a bad body wholly, and what was parked counts as received."""
    try:
        receipt = receipt_of(headers)
    except BadHeaders as bad:
        return Envelope((), None, Parked(body, f"header {bad}"))
    # The database cannot store NUL in text; clients can send it (a user name, a tag).
    text = _NUL.sub(rb"\1\\ufffd", body) if b"\\u0000" in body else body
    try:
        pieces = _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as bad:
        return Envelope((), receipt, Parked(body, f"body: {bad}"))
    return _sort_out(pieces, receipt, book)


def _decode(text: bytes) -> Sequence[RequestSettled | msgspec.Raw]:
    try:
        return _whole.decode(text)
    except msgspec.ValidationError:
        return _pieces.decode(text)


def _row(event: RequestSettled, receipt: Receipt, number: int, book: PriceBook) -> SettledRow:
    """Raises BadEvent, also for one of another boot than the header's: it would be counted against that one's grants."""
    if event.boot != receipt.boot:
        raise BadEvent("boot: not the header's")
    return row_of(event, number, book)


def _sort_out(pieces: Sequence[RequestSettled | msgspec.Raw], receipt: Receipt, book: PriceBook) -> Envelope:
    rows: list[SettledRow] = []
    refused: list[msgspec.Raw] = []
    reasons: list[str] = []
    for position, piece in enumerate(pieces):
        try:
            event = _one.decode(bytes(piece)) if isinstance(piece, msgspec.Raw) else piece
            rows.append(_row(event, receipt, receipt.first + position, book))
        except (msgspec.ValidationError, BadEvent) as bad:
            refused.append(piece if isinstance(piece, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(piece)))
            reasons.append(f"[{position}] {bad}")
    mismatched = len(pieces) != receipt.last - receipt.first + 1
    if mismatched:
        # The headers promise other events than came: only those that came are acknowledged.
        receipt = Receipt(receipt.boot, receipt.gateway, receipt.first, receipt.first + len(pieces) - 1, receipt.close)
    parked = Parked(msgspec.json.encode(refused), "; ".join(reasons)) if refused else None
    return Envelope(tuple(rows), receipt, parked, mismatched)
