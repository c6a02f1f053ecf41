"""A value that fits a JSON schema, roughly: the same for the same schema and seed."""

import math
from typing import Any, Final

from devstack.provider.refusals import bad_request

Schema = dict[str, Any]

_DEEPEST: Final = 16
_MOST_VALUES: Final = 10_000
_MOST_ITEMS: Final = 100
_LONGEST_TEXT: Final = 10_000
_FORMATS: Final = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
_PLACES: Final = ("harbor", "garden", "bridge", "market", "island", "forest")


def example_of(schema: Schema, seed: bytes) -> Any:
    """Knows types, enums, const, references, unions and bounds; not patterns nor conditions.

    Raises a 400 refusal for what is no schema.
    """
    try:
        return _Example(schema, seed).of(schema, 0)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise bad_request("Invalid JSON schema.") from error


class _Example:
    def __init__(self, root: Schema, seed: bytes) -> None:
        self._root = root
        self._seed = seed
        self._made = 0
        self._values = 0

    def of(self, schema: Any, depth: int) -> Any:
        self._values += 1
        if not isinstance(schema, dict) or depth > _DEEPEST or self._values > _MOST_VALUES:
            return None
        if "$ref" in schema:
            return self.of(self._resolve(str(schema["$ref"])), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self._next() % len(schema["enum"])]
        for union in ("anyOf", "oneOf", "allOf"):
            if schema.get(union):
                return self._of_union(schema, union, depth)
        return self._of_type(_type_of(schema), schema, depth)

    def _of_union(self, schema: Schema, union: str, depth: int) -> Any:
        if union != "allOf":
            return self.of(schema[union][0], depth + 1)
        merged: Schema = {"properties": dict(schema.get("properties", {}))}
        for part in schema[union]:
            known = self._resolve(str(part["$ref"])) if "$ref" in part else part
            properties = merged["properties"] | known.get("properties", {})
            merged = merged | known | {"properties": properties}
        return self.of(merged, depth + 1)

    def _of_type(self, kind: str, schema: Schema, depth: int) -> Any:
        if kind == "object":
            return {name: self.of(part, depth + 1) for name, part in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.of(schema.get("items", {}), depth + 1) for _ in range(_items(schema))]
        if kind == "integer":
            return int(self._number(schema, step=1))
        if kind == "number":
            return self._number(schema, step=0.5)
        if kind == "boolean":
            return self._next() % 2 == 0
        return self._text(schema) if kind == "string" else None

    def _number(self, schema: Schema, step: float) -> float:
        step = schema.get("multipleOf", step)
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None:
            low = 1 if high is None or high > 1 else high - step
        value = float(math.ceil(low / step) * step)
        return value + step if value == schema.get("exclusiveMinimum") else value

    def _text(self, schema: Schema) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = _PLACES[self._next() % len(_PLACES)]
        shortest = min(schema.get("minLength", 0), _LONGEST_TEXT)
        while len(text) < shortest:
            text += f" {text}"
        return text[: schema.get("maxLength", max(shortest, len(text)))]

    def _resolve(self, reference: str) -> Any:
        found: Any = self._root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                found = found.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
        return found

    def _next(self) -> int:
        self._made += 1
        return self._seed[self._made % len(self._seed)]


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _items(schema: Schema) -> int:
    return min(max(1, int(schema.get("minItems", 1))), _MOST_ITEMS)
