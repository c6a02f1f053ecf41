"""What an envelope says of itself: whose events it carries and under which numbers, and what has thereby been received."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from common.contracts.events import HEADER_BOOT, HEADER_CLOSE, HEADER_FROM, HEADER_GATEWAY, HEADER_TO

LARGEST_NUMBER = 2**62
NAME = re.compile(r"[0-9A-Za-z_-]{1,100}")
"""What may name a boot, a project, a key or an organization: it becomes a part of subjects."""


class BadHeaders(ValueError):
    """The headers do not name a boot and a range of numbers; the message says which one is wrong."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Numbers `first`…`last` of a boot have arrived (none when `last` = `first` − 1); `close` = the boot's last number."""

    boot: str
    gateway: str
    first: int
    last: int
    close: int | None = None


def receipt_of(headers: Mapping[str, str]) -> Receipt:
    """The receipt for an envelope with these headers; raises BadHeaders."""
    boot = headers.get(HEADER_BOOT, "")
    if not NAME.fullmatch(boot):
        raise BadHeaders(HEADER_BOOT)
    first, last = _number(headers, HEADER_FROM), _number(headers, HEADER_TO)
    close = _number(headers, HEADER_CLOSE) if HEADER_CLOSE in headers else None
    if first < 1:
        raise BadHeaders(HEADER_FROM)
    if last < first - 1:
        raise BadHeaders(HEADER_TO)
    return Receipt(boot=boot, gateway=headers.get(HEADER_GATEWAY, ""), first=first, last=last, close=close)


def _number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    if not (text.isascii() and text.isdigit()) or int(text) > LARGEST_NUMBER:
        raise BadHeaders(name)
    return int(text)
