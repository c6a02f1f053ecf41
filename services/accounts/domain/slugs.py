"""Slugs: the short names that appear in URLs and lists."""

import re
import unicodedata
from collections.abc import Iterator

SLUG_LENGTH = 63
SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"


def slug_of(name: str, fallback: str) -> str:
    """A slug made from a name: lower-case ASCII words joined by hyphens; `fallback` when nothing of the name is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_LENGTH].strip("-") or fallback


def alternatives(slug: str) -> Iterator[str]:
    """The same slug with numbers that tell it from others: `demo`, `demo-2`, `demo-3` …, in growing steps after ten."""
    yield slug
    number = 2
    while True:
        tail = f"-{number}"
        yield slug[: SLUG_LENGTH - len(tail)].strip("-") + tail
        number += max(1, number // 10 * 5)
