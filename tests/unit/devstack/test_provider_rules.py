"""The provider's rules on paper: tokens, prose, schemas, faults."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.provider.faults import Fault, parse_fault, requested_fault
from devstack.provider.prose import read_tokens
from devstack.provider.refusals import Refusal
from devstack.provider.requests import ChatRequest, Message
from devstack.provider.schemas import example_of
from devstack.provider.tokens import count_tokens, tokenize

SEEDS = st.binary(min_size=32, max_size=32)


@given(st.text())
def test_tokens_joined_are_the_text(text: str):
    """No character is lost or invented by cutting a text into tokens."""
    assert "".join(tokenize(text)) == text


@given(st.text())
def test_tokens_never_outnumber_bytes(text: str):
    """A bound by the bytes of a text is a bound on its tokens."""
    assert count_tokens(text) == len(tokenize(text)) <= len(text.encode())


@given(st.text(), st.integers(min_value=0, max_value=50))
def test_first_tokens_tokenize_to_themselves(text: str, length: int):
    """An answer cut after k tokens counts k tokens, whoever counts it again."""
    first = tokenize(text)[:length]
    assert tokenize("".join(first)) == first


@given(SEEDS, st.integers(min_value=0, max_value=9000))
def test_prose_has_the_length_asked_for(seed: bytes, length: int):
    """An answer of n tokens has n tokens also for those who count its text."""
    tokens = read_tokens(seed, length)
    assert len(tokens) == length
    assert tokenize("".join(tokens)) == tokens


@given(SEEDS)
def test_answers_hold_letters_of_several_bytes(seed: bytes):
    """Even the shortest default answer can be split inside a character."""
    text = "".join(read_tokens(seed, 20))
    assert len(text.encode()) > len(text)


def test_examples_fit_their_schema():
    """Required shapes, references, unions, enums and bounds are obeyed, the same way each time."""
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 9, "maxLength": 12},
            "unit": {"enum": ["celsius", "kelvin"]},
            "days": {"type": "integer", "minimum": 3, "maximum": 9},
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 2},
            "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        },
        "$defs": {"step": {"type": "object", "properties": {"size": {"type": ["number", "null"]}}}},
    }
    value = example_of(schema, bytes(range(32)))
    assert value == example_of(schema, bytes(range(32)))
    assert 9 <= len(value["city"]) <= 12
    assert value["unit"] in {"celsius", "kelvin"}
    assert 3 <= value["days"] <= 9
    assert [set(step) for step in value["steps"]] == [{"size"}, {"size"}]
    assert isinstance(value["maybe"], bool)


def test_a_schema_that_contains_itself_ends():
    """Recursion stops at a depth of its own."""
    schema = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
    assert json.dumps(example_of(schema, bytes(32)))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": [1]},
        {"type": "number", "multipleOf": 0},
        {"type": "integer", "minimum": 1e308, "multipleOf": 1e-308},
        {"type": "string", "minLength": "x"},
        {"anyOf": {"a": 1}},
    ],
)
def test_broken_schemas_are_refused(schema: dict):
    """What is no schema is a bad request, not a failure of ours."""
    with pytest.raises(Refusal):
        example_of(schema, bytes(32))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429", Fault("429", 1)),
        ("429:7", Fault("429", 7)),
        ("slow-first-token:250", Fault("slow-first-token", 250)),
        ("first:2:cut:5", Fault("cut", 5, 2)),
        ("first:1:500", Fault("500", 0, 1)),
    ],
)
def test_faults_are_read(text: str, fault: Fault):
    """A fault says the same in the header and, with dots, in the model's name."""
    assert parse_fault(text) == fault
    assert requested_fault(None, f"sim-fault-{text.replace(':', '.')}") == fault


@pytest.mark.parametrize("text", ["", "nonsense", "500:1", "429:x", "cut:1:2", "first:x:500", "slow:99999999999", "cut:²"])
def test_unknown_faults_are_refused(text: str):
    """A misspelt fault is an error, never a healthy answer."""
    with pytest.raises(Refusal) as refused:
        parse_fault(text)
    assert refused.value.status == 400


def test_the_header_wins_over_the_model():
    """A header can make any model fail, and a failing model fail otherwise."""
    assert requested_fault("503", "sim-fault-429").name == "503"
    assert requested_fault(None, "sim-fast-1").name == ""


def test_stop_sequences_may_be_one_or_many():
    """Empty stop sequences are ignored, or nothing would ever be said."""
    request = ChatRequest(model="m", messages=[Message(role="user")], stop="")
    assert request.stops == []
    request.stop = ["a", "", "b"]
    assert request.stops == ["a", "b"]
