"""The limits that a request counts against, as its event carries them: as short as they can be told, for every event has them."""

from collections.abc import Iterable

_SHORT = {"requests_per_minute": "rpm", "tokens_per_minute": "tpm"}
_LONG = {short: long for long, short in _SHORT.items()}


def write_limits(names: Iterable[str]) -> str:
    """`project.monthly`, `project.daily`, `key.requests_per_minute` become `project.monthly+daily key.rpm`."""
    kinds_of: dict[str, list[str]] = {}
    for name in names:
        scope, _, kind = name.partition(".")
        kinds_of.setdefault(scope, []).append(_SHORT.get(kind, kind))
    return " ".join(f"{scope}.{'+'.join(kinds)}" for scope, kinds in kinds_of.items())


def read_limits(text: str) -> list[str]:
    """The names again; those that were written out are read as well."""
    words = (word.partition(".") for word in text.split())
    return [f"{scope}.{_LONG.get(kind, kind)}" for scope, _, kinds in words for kind in kinds.split("+")]
