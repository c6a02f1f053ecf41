"""Values of the API as people read them."""

from datetime import UTC, datetime
from typing import Any

from codexflow_cli.money import to_usd

NOTHING = "–"
MONEY = "_nanousd"
MOMENTS = ("_at", "_until")


def label(name: str) -> str:
    """A field's name for people: `monthly_cost_nanousd` is shown in USD and called so."""
    return name.removesuffix(MONEY).replace("_", " ").replace(".", " ") + (" USD" if name.endswith(MONEY) else "")


def cell(name: str, value: Any) -> str:
    """One value. What a terminal could take for a command is shown as a question mark."""
    if value is None or value in ("", [], {}):
        return NOTHING
    return "".join(character if character.isprintable() else "?" for character in _plain(name, value))


def _plain(name: str, value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith(MONEY):
            return to_usd(value)
        case list():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{key.removesuffix(MONEY)}={cell(key, inner)}" for key, inner in value.items())
        case str() if name.endswith(MOMENTS) or name == "at":
            return _moment(value)
        case _:
            return str(value)


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except ValueError:
        return text
