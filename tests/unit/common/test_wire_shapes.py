"""Wire shapes are for ever: the frozen examples of version 1 go on being read, and unknown fields are ignored."""

import json
from pathlib import Path

import msgspec
import pytest

from common.contracts import directory, document, events, grants, rates

EXAMPLES = Path(__file__).parent / "examples" / "v1"
SHAPES: dict[str, type[msgspec.Struct]] = {
    "request_settled": events.RequestSettled,
    "watermark": events.Watermark,
    "quota_state": events.QuotaState,
    "presence": events.Presence,
    "key_activity": events.KeyActivity,
    "key": directory.KeyRecord,
    "project": directory.ProjectRecord,
    "organization": directory.OrganizationRecord,
    "member": directory.MemberRecord,
    "manifest": directory.Manifest,
    "alert_raised": events.AlertRaised,
    "alert_exhausted": events.AlertRaised,
    "explain_ask": events.ExplainAsk,
    "rates_ask": rates.RatesAsk,
    "rates_answer": rates.RatesAnswer,
    "grant_ask": grants.GrantAsk,
    "grant_answer": grants.GrantAnswer,
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_frozen_example_is_read_in_full(name: str) -> None:
    """Every field of the example is a field of today's shape with the same value (a file that no commit edits)."""
    example = json.loads((EXAMPLES / f"{name}.json").read_bytes())
    record = msgspec.convert(example, SHAPES[name])
    written = msgspec.to_builtins(record)
    full = {field.name: msgspec.to_builtins(getattr(record, field.name)) for field in msgspec.structs.fields(SHAPES[name])}
    assert {field: full[field] for field in example} == {**example, **{f: full[f] for f in example if _is_nested(example[f])}}
    assert msgspec.convert(written, SHAPES[name]) == record


def _is_nested(value: object) -> bool:
    """Nested shapes are compared by reading them back (defaults may have been added)."""
    return isinstance(value, (dict, list))


@pytest.mark.parametrize("name", SHAPES)
def test_unknown_fields_are_ignored(name: str) -> None:
    """A newer sender does not break an older reader."""
    example = json.loads((EXAMPLES / f"{name}.json").read_bytes())
    assert msgspec.convert({**example, "a_field_of_tomorrow": [1]}, SHAPES[name]) == msgspec.convert(example, SHAPES[name])


def test_the_generated_documents_are_current() -> None:
    """docs/events.md and docs/asyncapi.json are what `make events` writes."""
    docs = Path(__file__).parents[3] / "docs"
    assert (docs / "events.md").read_text() == document.markdown()
    assert json.loads((docs / "asyncapi.json").read_text()) == json.loads(json.dumps(document.asyncapi()))
