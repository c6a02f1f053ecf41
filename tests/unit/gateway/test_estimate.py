"""What a request is estimated to need: a bound that nothing passes under a strict budget, a good guess otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.events import Usage
from common.contracts.prices import IMAGE_TOKENS, ModelPrice
from gateway.domain import chat_request
from gateway.domain.estimate import (
    HIDDEN_INPUT_TOKENS,
    PER_MESSAGE,
    PROMPT_CONSTANT,
    SLICE_TOKENS,
    TOOLS_CONSTANT,
    Estimate,
    Mode,
    likely_estimate,
    strict_estimate,
)
from gateway.domain.learned_usage import LEAST_OUTPUTS, LearnedUsage, PromptShape
from gateway.domain.output_meter import OutputMeter

PRICE = ModelPrice(
    input=2_000_000_000,
    cached_input=500_000_000,
    output=8_000_000_000,
    effective_from="2026-11-23",
    source="a test",
    max_output_tokens=10_000,
    image_tokens=700,
)
PIXEL = "data:image/png;base64," + "A" * 4_000
AROUND = PROMPT_CONSTANT + PER_MESSAGE


def read(content: Any = "hi", **fields: Any) -> tuple[chat_request.ChatRequest, chat_request.Fields, int]:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **fields}).encode()
    return *chat_request.read(body), len(body)


def strict(price: ModelPrice | None = PRICE, content: Any = "hi", **fields: Any) -> tuple[Estimate, int]:
    request, raw, length = read(content, **fields)
    return strict_estimate(request, raw, length, price, 4_096), length


def likely(
    mode: Mode,
    content: Any = "hi",
    *,
    shape: PromptShape | None = None,
    counted: int | None = None,
    likely_output: int | None = None,
    **fields: Any,
) -> tuple[Estimate, int]:
    request, raw, length = read(content, **fields)
    found = likely_estimate(mode, request, raw, length, PRICE, 4_096, shape=shape, counted=counted, likely_output=likely_output)
    return found, length


def test_strict_bounds_text_by_its_bytes_and_output_by_the_cap() -> None:
    """A token for every byte and what the upstream adds, the cap for each choice, all of it at the rates."""
    found, length = strict(max_tokens=100, n=3)
    assert (found.prompt_tokens, found.completion_tokens) == (length + AROUND, 300)
    assert found.nanousd == (length + AROUND) * 2_000 + 300 * 8_000
    assert (found.cap, found.choices, found.how) == (100, 3, "bytes")


@pytest.mark.parametrize(("fields", "cap"), [({}, 4_096), ({"max_tokens": 7}, 7), ({"max_completion_tokens": 20_000}, 20_000)])
def test_the_cap_is_the_clients_or_the_default(fields: dict[str, Any], cap: int) -> None:
    """Nothing is estimated that the upstream is not held to."""
    assert strict(**fields)[0].cap == cap


def test_strict_counts_what_is_not_text() -> None:
    """Images by the model's table (by more than the largest known where it has none), what is said about tools, a prediction that fails."""
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    found, length = strict(content=parts, max_tokens=1)
    assert found.prompt_tokens == length + AROUND + 700
    found, length = strict(None, content=parts, max_tokens=1)
    assert (found.prompt_tokens, found.nanousd) == (length + AROUND + IMAGE_TOKENS, 0)
    found, length = strict(tools=[{"type": "function", "function": {"name": "f"}}], max_tokens=1)
    assert found.prompt_tokens == length + AROUND + TOOLS_CONSTANT
    prediction = {"type": "content", "content": "x" * 500}
    assert strict(prediction=prediction, max_tokens=10)[0].completion_tokens >= 510


@given(st.text(max_size=200), st.integers(1, 5_000), st.integers(1, 4))
def test_no_answer_within_its_cap_costs_more_than_the_strict_hold(text: str, cap: int, choices: int) -> None:
    """Whatever the text: no tokenizer makes more tokens of it than it has bytes."""
    found, _ = strict(content=text, max_tokens=cap, n=choices)
    most = Usage(prompt_tokens=len(text.encode()) + AROUND, completion_tokens=cap * choices)
    assert PRICE.cost(most) <= found.nanousd
    assert most.prompt_tokens + most.completion_tokens <= found.tokens


def test_an_unknown_prompt_counts_a_third_of_its_bytes_and_the_first_slice() -> None:
    """Of a stream; another request holds its whole cap."""
    found, length = likely("sliced", "x" * 3_000, stream=True, max_tokens=32_000)
    assert (found.prompt_tokens, found.completion_tokens, found.how) == (length // 3 + AROUND, SLICE_TOKENS, "length")
    assert likely("sliced", max_tokens=32_000)[0].completion_tokens == 32_000


def test_a_tokenizers_count_stands_for_the_text() -> None:
    """The rest of the body counts a third of its bytes; with what the upstream adds around it."""
    found, length = likely("sliced", "x" * 3_000, counted=321, stream=True)
    assert (found.prompt_tokens, found.how) == (321 + (length - 3_000) // 3 + AROUND, "tokenizer")


FUNCTION = {"name": "f", "description": "does a thing " * 300, "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "c", "type": "function", "function": {"name": "write", "arguments": json.dumps({"text": "x = 1\n" * 900})}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "description": "d" * 30_000}}}


@pytest.mark.parametrize(
    ("fields", "beside"),
    [
        ({"tools": [{"type": "function", "function": FUNCTION}]}, FUNCTION),
        ({"functions": [FUNCTION]}, FUNCTION),
        ({"response_format": SCHEMA}, SCHEMA),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": [CALL] * 9}]}, [CALL] * 9),
        ({"messages": [{"role": "assistant", "content": "ho", "reasoning_content": "hm " * 900}]}, "hm " * 900),
        ({"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no " * 900}]}]}, "no " * 900),
    ],
    ids=["tools", "functions", "schema", "calls", "thoughts", "refusal"],
)
def test_what_no_tokenizer_has_counted_counts_by_its_length(fields: dict[str, Any], beside: Any) -> None:
    """Tools, calls, schemas and thoughts are prompt as well, from the first request of a key on."""
    plain, _ = likely("sliced", counted=1)
    found, _ = likely("sliced", counted=1, **fields)
    written = len(json.dumps(beside)) // 3
    assert written - 60 <= found.prompt_tokens - plain.prompt_tokens <= written + TOOLS_CONSTANT + 60


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), max_size=200), st.booleans())
def test_text_that_a_tokenizer_has_counted_is_not_counted_by_its_length_too(text: str, escaped: bool) -> None:
    """However the client writes letters beyond ASCII: as they are, or in six bytes each."""
    found = []
    for said in (text, ""):
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": said}]}, ensure_ascii=escaped).encode()
        request, raw = chat_request.read(body)
        estimate = likely_estimate("sliced", request, raw, len(body), PRICE, 4_096, shape=None, counted=7, likely_output=None)
        found.append(estimate.prompt_tokens)
    assert found[0] == found[1]


PREDICTION = {"type": "content", "content": "word " * 6_000}
PREDICTED = len(json.dumps(PREDICTION)) // 3


@pytest.mark.parametrize("mode", ["sliced", "expected"])
@pytest.mark.parametrize(
    "known",
    [{}, {"counted": 5}, {"shape": PromptShape(0.25, 0.0, hidden_output=40)}, {"likely_output": 20}],
    ids=["nothing", "counted", "learned", "likely output"],
)
def test_a_prediction_that_may_fail_is_held_as_output(mode: Mode, known: dict[str, Any]) -> None:
    """For every choice and beside its cap, whatever else is known of the request; it is no prompt."""
    plain, _ = likely(mode, stream=True, max_tokens=3_000, n=2, **known)
    found, _ = likely(mode, stream=True, max_tokens=3_000, n=2, prediction=PREDICTION, **known)
    assert 0 <= found.prompt_tokens - plain.prompt_tokens <= 6
    assert found.completion_tokens == plain.completion_tokens + 2 * PREDICTED
    assert found.hidden_output == plain.hidden_output + 2 * PREDICTED
    assert found.next_slice()[0] == plain.next_slice()[0]
    assert found.rest()[0] == plain.rest()[0]
    assert found.most_output == 2 * (3_000 + PREDICTED)


def test_sound_counts_as_what_is_not_shown_and_not_by_its_bytes() -> None:
    """A minute of it has megabytes and some hundred tokens."""
    part = {"type": "input_audio", "input_audio": {"data": "A" * 90_000, "format": "wav"}}
    for counted in (None, 5):
        found, _ = likely("sliced", [part], counted=counted, stream=True)
        assert HIDDEN_INPUT_TOKENS <= found.prompt_tokens <= HIDDEN_INPUT_TOKENS + 300


def test_what_was_learned_of_a_key_stands_for_the_next_prompt() -> None:
    """Tokens per byte, the part that is cached and cheap, and what the model thinks without showing it."""
    shape = PromptShape(0.25, 0.9, hidden_output=400)
    found, length = likely("sliced", "x" * 4_000, shape=shape, stream=True, max_tokens=32_000)
    assert found.prompt_tokens == int(length * 0.25 * 1.05) + PER_MESSAGE
    assert (found.completion_tokens, found.hidden_output, found.how) == (SLICE_TOKENS + 400, 400, "learned")
    cached = int(found.prompt_tokens * 0.9)
    assert found.nanousd == -(
        -((found.prompt_tokens - cached) * 2_000_000_000 + cached * 500_000_000 + 1_400 * 8_000_000_000) // 10**6
    )


def test_a_prompt_of_blanks_does_not_make_the_next_one_free() -> None:
    """Whoever teaches that a hundred bytes are a token is not believed."""
    found, length = likely("sliced", "x" * 8_000, shape=PromptShape(0.01, 0.0), stream=True)
    assert found.prompt_tokens >= length // 8


@pytest.mark.parametrize("shape", [None, PromptShape(0.25, 0.0)])
def test_what_the_body_does_not_show_is_counted_also_once_something_was_learned(shape: PromptShape | None) -> None:
    """A hosted tool, a remote image: each at its stated cap, an inlined image by the table and not by its bytes."""
    plain, _ = likely("sliced", shape=shape, stream=True)
    searching, _ = likely("sliced", shape=shape, stream=True, tools=[{"type": "web_search"}])
    assert searching.prompt_tokens - plain.prompt_tokens >= HIDDEN_INPUT_TOKENS
    remote = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    assert likely("sliced", remote, shape=shape, stream=True)[0].prompt_tokens >= HIDDEN_INPUT_TOKENS
    inlined, _ = likely("sliced", [{"type": "image_url", "image_url": {"url": PIXEL}}], shape=shape, stream=True)
    assert 700 < inlined.prompt_tokens < 1_200


def test_expected_holds_what_late_answers_came_to() -> None:
    """Never more than the cap."""
    assert likely("expected", likely_output=50, max_tokens=4_000, n=2)[0].completion_tokens == 100
    assert likely("expected", likely_output=50, max_tokens=20)[0].completion_tokens == 20
    assert likely("expected", max_tokens=4_000)[0].completion_tokens == 4_000


@given(st.integers(1, 5), st.integers(1, 40_000))
def test_slices_end_with_the_cap(choices: int, cap: int) -> None:
    """Each is paid for, a slice per choice, and together they are the cap."""
    found, _ = likely("sliced", stream=True, max_tokens=cap, n=choices)
    before = found.nanousd
    while (following := found.next_slice()) != (0, 0):
        assert 0 < following[0] <= SLICE_TOKENS * choices
        found = found.grown(*following)
    assert found.completion_tokens == cap * choices
    grown = found.completion_tokens - min(cap, SLICE_TOKENS) * choices
    assert found.nanousd - before >= grown * 8_000


def test_prompts_are_learned_by_key_and_route() -> None:
    """What a model thought without showing it fades by half with each answer that shows less."""
    learned = LearnedUsage()
    learned.saw_prompt("k", "fast", 1_000, Usage(prompt_tokens=250, completion_tokens=5, cached_prompt_tokens=125), 600)
    assert learned.shape("k", "fast") == PromptShape(0.25, 0.5, 600)
    learned.saw_prompt("k", "fast", 1_000, Usage(prompt_tokens=500, completion_tokens=5), 0)
    assert learned.shape("k", "fast") == PromptShape(0.5, 0.0, 300)
    assert learned.shape("k", "deep") is None
    assert learned.shape("other", "fast") is None


def test_the_longest_of_twenty_answers_is_told_once_there_are_enough() -> None:
    """One outlier in twenty is not expected of the next."""
    learned = LearnedUsage()
    for tokens in range(1, LEAST_OUTPUTS):
        learned.saw_output("fast", tokens)
    assert learned.likely_output("fast") is None
    for tokens in (*range(LEAST_OUTPUTS, 64), 10_000):
        learned.saw_output("fast", tokens)
    assert learned.likely_output("fast") == 61


def chunk(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def test_output_is_seen_by_events_and_by_bytes() -> None:
    """The larger counts: providers send one token an event, or many; what cannot be read counts by its length."""
    meter = OutputMeter()
    for _ in range(5):
        meter.feed(chunk(content="a"))
    assert meter.seen == 5
    meter.feed(chunk(content="x" * 300))
    assert meter.seen == 101
    meter.feed(chunk(role="assistant") + b"data: [DONE]\n\n" + b": a comment\n\n")
    assert meter.seen == 101
    meter.feed(chunk(reasoning_content="y" * 300) + chunk(tool_calls=[{"function": {"arguments": "z" * 300}}]))
    assert meter.seen >= 301
    before = meter.seen
    meter.feed(b'data: {"choices": [{"delta": {"content": 5, "padding": "' + b"p" * 600 + b'"}}]}\n\n')
    assert meter.seen > before + 190


THOUGHT = "y" * 300
DETAILS = [{"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, "text": THOUGHT}]


@pytest.mark.parametrize(
    ("delta", "seen"),
    [
        ({"content": "", "reasoning": THOUGHT}, 100),
        ({"content": "", "reasoning": THOUGHT, "reasoning_details": DETAILS}, 100),
        ({"content": None, "reasoning_details": DETAILS}, 100),
        ({"reasoning": THOUGHT, "reasoning_content": THOUGHT, "tool_calls": None}, 100),
        ({"reasoning_content": THOUGHT, "thinking_blocks": [{"type": "thinking", "thinking": THOUGHT}]}, 100),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s" * 300}]}, 100),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}]}, 100),
        ({"function_call": {"name": "n" * 30, "arguments": "a" * 270}}, 100),
        ({"audio": {"id": "audio_1", "transcript": "t" * 300}}, 100),
        ({"audio": {"id": "audio_1", "data": "d" * 100_000}}, 100),
        ({"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "i" * 99_978}}]}, 100),
        ({"images": [{"data": "data:image/png;base64," + "i" * 99_978}]}, 100),
        ({"not_known_yet": {"deep": [{"text": "x" * 299}, 5]}}, 100),
        ({"annotations": [{"type": "url_citation", "url_citation": {"title": "t" * 300, "url": "https://example.org"}}]}, 1),
    ],
)
def test_output_is_seen_in_whatever_field_it_comes(delta: dict[str, Any], seen: int) -> None:
    """By the size of its text, the same text once; labels are no output, and pictures and sound weigh less than text."""
    meter = OutputMeter()
    meter.feed(chunk(role="assistant", **delta))
    assert meter.seen == seen


@pytest.mark.parametrize(
    "delta",
    [
        {},
        {"role": "assistant", "content": "", "refusal": None},
        {"content": None, "tool_calls": None, "function_call": None, "provider_specific_fields": {"refusal": None}},
        {"content": "", "reasoning": "", "reasoning_details": [], "tool_calls": [], "audio": {}},
    ],
)
def test_an_event_that_says_nothing_is_no_output(delta: dict[str, Any]) -> None:
    """Empty values and the role, in whatever fields."""
    meter = OutputMeter()
    meter.feed(chunk(**delta))
    assert meter.seen == 0


def test_every_choice_of_an_event_counts() -> None:
    """Whichever fields they use; text beside a delta too, as the older completions have it."""
    meter = OutputMeter()
    choices = [
        {"delta": {"content": "a" * 30}},
        {"delta": {}},
        {"delta": {"function_call": {"arguments": "b" * 30}}},
        {"text": "c" * 30},
    ]
    meter.feed(b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n")
    assert meter.seen == 30


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("12,7,40,3", 9),
        ("1 0 1 1 0 1", 11),
        ("ABCDEFGHIJKLMNOPQRST", 20),
        ("dGhlIHF1aWNrIGJyb3du", 13),
        ("f(x);\n\treturn G[1];", 12),
        ("\U0001f600\U0001f680\U0001f4a1\U0001f9ea", 7),
        ("the quick brown fox jumps over", 10),
        ("-" * 60, 20),
        ("在过去的几十年里", 8),
    ],
)
def test_dense_text_is_seen_for_what_it_is(text: str, seen: int) -> None:
    """Capitals, digits and signs are tokens of their own; words, rules and Chinese a token for three bytes; in any field."""
    shapes: tuple[dict[str, Any], ...] = (
        {"content": text},
        {"reasoning": text},
        {"content": [{"type": "text", "text": text}]},
        {"function_call": {"arguments": text}},
        {"tool_calls": [{"index": 0, "id": "call_1A2B3C", "type": "function", "function": {"name": None, "arguments": text}}]},
        {"tool_calls": [{"index": 0, "type": "custom", "custom": {"input": text}}]},
    )
    for delta in shapes:
        meter = OutputMeter()
        meter.feed(chunk(**delta))
        assert meter.seen == seen


def test_calls_of_tools_that_are_no_functions_count_beside_whatever_else_is_said() -> None:
    """In the same event, as proxies send them that have waited for the whole answer."""
    custom = {"index": 1, "type": "custom", "custom": {"input": "x" * 300}}
    function = {"index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for delta in ({"content": "ok", "tool_calls": [custom]}, {"tool_calls": [function, custom]}):
        meter = OutputMeter()
        meter.feed(chunk(**delta))
        assert meter.seen >= 100


@pytest.mark.parametrize("line", [b"data:  %b \n\n", b"data:\t%b\r\n\r\n", b"data:%b\n\n"])
def test_blanks_around_an_event_hide_nothing(line: bytes) -> None:
    """Clients read these lines."""
    meter = OutputMeter()
    meter.feed(line % json.dumps({"choices": [{"delta": {"content": "x" * 30}}]}).encode())
    assert meter.seen == 10


def test_an_event_of_one_token_is_one() -> None:
    """Up to four bytes whatever they are, or a word, count by events and bytes alone; what is around an argument of a call is none."""
    meter = OutputMeter()
    tokens = ("123", "42", "+", ">", "});\n", " SELECT", "Ω", "\U0001f600", "9", "7", "Z", "1")
    for number, token in enumerate(tokens, 1):
        meter.feed(chunk(content=token))
        assert meter.seen == max(number, len("".join(tokens[:number]).encode()) // 3)
    meter.feed(chunk(tool_calls=[{"index": 0, "id": "call_1A2B3C4D5E6F", "type": "function", "function": {"arguments": "{"}}]))
    assert meter.seen == len(tokens) + 1


def test_what_is_sealed_weighs_no_more_than_text() -> None:
    """Signatures and encrypted thoughts are base64, and no output that could be counted by its signs."""
    meter = OutputMeter()
    meter.feed(chunk(thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "A1B2" * 75}]))
    assert meter.seen == 100


def choice(index: int, content: str = "", finish_reason: str | None = None) -> bytes:
    value = {"index": index, "delta": {"content": content}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [value]}).encode() + b"\n\n"


def test_choices_are_finished_when_all_have_said_so() -> None:
    """Each by its index; what the others still say, and events without output, change nothing."""
    meter = OutputMeter()
    meter.feed(choice(0, "a", "stop") + choice(1, "b"))
    assert (meter.has_finished(1), meter.has_finished(2)) == (True, False)
    meter.feed(choice(1, "b", "length") + choice(0) + chunk(role="assistant") + b'data: {"choices": []}\n\n')
    assert meter.has_finished(2)


@pytest.mark.parametrize("more", [choice(0, "b"), choice(0, "b", "stop"), chunk(content=["b"]), b'data: {"choices": 5}\n\n'])
def test_a_choice_that_goes_on_has_not_finished(more: bytes) -> None:
    """Nor is it believed when it says so once more: providers that say it with every event say nothing by it."""
    meter = OutputMeter()
    meter.feed(choice(0, "a", "stop"))
    assert meter.has_finished(1)
    meter.feed(more)
    assert not meter.has_finished(1)
    meter.feed(choice(0, "", "stop"))
    assert not meter.has_finished(1)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_shape_of_an_event_breaks_the_meter(shape: Any) -> None:
    """Whatever stands where choices, a choice, a delta or a text are expected."""
    meter = OutputMeter()
    for event in (
        {"choices": shape},
        {"choices": [shape]},
        {"choices": [{"delta": shape}]},
        {"choices": [{"delta": {"content": shape}}]},
    ):
        before = meter.seen
        meter.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        assert meter.seen >= before
