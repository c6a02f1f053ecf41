"""The simulated provider's answers over real HTTP, as clients and their libraries see them."""

import base64
import json
import math
import signal
import struct
import uuid
from collections.abc import Iterator

import httpx
import openai
import pytest

from devstack.provider.tokens import count_tokens
from tests.integration.devstack.provider_process import CHAT, ProviderProcess, chat_body, running_provider

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city"],
        },
    },
}
USER = [{"role": "user", "content": "Hello, provider!"}]


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    with running_provider("--pace-ms", "0", "--alias", "gpt-4o-mini") as running:
        yield running


@pytest.fixture
def client(provider: ProviderProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="any", max_retries=0, timeout=60) as made:
        yield made


def test_same_question_same_answer(provider: ProviderProcess):
    """Answers are a function of messages and model; paths work with and without /v1."""
    first = provider.chat().json()
    again = provider.client.post("/chat/completions", json=chat_body("sim-fast-1")).json()
    other = provider.chat("sim-fast-2").json()
    assert first["choices"] == again["choices"] != other["choices"]
    assert first["id"] != again["id"]


def test_usage_counts_the_text(provider: ProviderProcess):
    """Usage is the tokenizer's count of the text, and the ledger says the same."""
    request_id = str(uuid.uuid4())
    answer = provider.chat(headers={"x-request-id": request_id, "x-codexflow-attempt": "2"}).json()
    usage = answer["usage"]
    assert usage["prompt_tokens"] == 3 + 3 + count_tokens("Hello, provider!")
    assert usage["completion_tokens"] == count_tokens(answer["choices"][0]["message"]["content"])
    assert 20 <= usage["completion_tokens"] <= 60
    row = provider.row(request_id)
    assert row["attempt"] == 2
    assert row["finished"]
    assert row["generated"] == row["sent"] == row["reported"]["completion_tokens"] == usage["completion_tokens"]
    assert row["prompt_tokens"] == row["reported"]["prompt_tokens"] == usage["prompt_tokens"]


def test_content_parts_are_counted(provider: ProviderProcess):
    """Text parts count as text, an image counts 85."""
    parts = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    answer = provider.chat(messages=[{"role": "user", "content": parts}]).json()
    assert answer["usage"]["prompt_tokens"] == 3 + 3 + count_tokens("Hello") + 85


def test_cached_models_report_half_the_prompt_cached(provider: ProviderProcess):
    """A model named so says that half of the prompt came from its cache."""
    usage = provider.chat("sim-cached-1").json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"] // 2 > 0


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_limits_are_enforced(provider: ProviderProcess, limit: str):
    """An answer stops at its limit and says so."""
    answer = provider.chat("sim-length-500", **{limit: 12}).json()
    assert answer["usage"]["completion_tokens"] == 12
    assert answer["choices"][0]["finish_reason"] == "length"


def test_lengths_on_demand(provider: ProviderProcess):
    """sim-length-N answers exactly N tokens, in each of n choices."""
    answer = provider.chat("sim-length-77", n=3).json()
    assert [count_tokens(choice["message"]["content"]) for choice in answer["choices"]] == [77] * 3
    assert answer["usage"]["completion_tokens"] == 231


def test_stop_sequences_end_the_answer(provider: ProviderProcess):
    """The answer ends before the stop sequence and counts only what is left."""
    answer = provider.chat(stop=["\n"]).json()
    content = answer["choices"][0]["message"]["content"]
    assert content.startswith("Reply")
    assert "\n" not in content
    assert answer["usage"]["completion_tokens"] == count_tokens(content)


def test_stream_and_whole_answer_are_the_same(client: openai.OpenAI):
    """The SDK reads the same text, choices and usage either way."""
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=USER, n=2)
    texts = ["", ""]
    usage = None
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=USER, n=2, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]
    assert texts[0] != texts[1]
    assert usage == whole.usage


def test_usage_appears_only_when_asked_for(provider: ProviderProcess):
    """Without include_usage no chunk mentions usage; with it all do, the last without choices."""
    plain = events(provider.chat(stream=True))
    asked = events(provider.chat(stream=True, stream_options={"include_usage": True}))
    assert not any("usage" in event for event in plain)
    assert [event["usage"] for event in asked[:-1]] == [None] * (len(asked) - 1)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["total_tokens"] > 0


def test_tools_are_called(client: openai.OpenAI):
    """Asked to, the model calls the first tool, with the same fitting arguments streamed or not."""
    messages = [{"role": "user", "content": "Please call the tool."}]
    whole = client.chat.completions.create(model="sim-fast-1", messages=messages, tools=[TOOL])
    assert whole.choices[0].finish_reason == "tool_calls"
    called = whole.choices[0].message.tool_calls[0]
    assert called.function.name == "get_weather"
    arguments = json.loads(called.function.arguments)
    assert isinstance(arguments["city"], str)
    assert arguments["days"] >= 1
    assert whole.usage.completion_tokens == count_tokens("get_weather") + count_tokens(called.function.arguments)
    streamed = ""
    for chunk in client.chat.completions.create(model="sim-fast-1", messages=messages, tools=[TOOL], stream=True):
        for delta in chunk.choices[0].delta.tool_calls or ():
            streamed += delta.function.arguments
    assert streamed == called.function.arguments


def test_tool_choice_is_obeyed(client: openai.OpenAI):
    """Required and named tools are called, none and unasked ones are not, and after a result comes text."""

    def finish(messages: list, **fields: object) -> str:
        answer = client.chat.completions.create(model="sim-fast-1", messages=messages, tools=[TOOL], **fields)
        return answer.choices[0].finish_reason

    named = {"type": "function", "function": {"name": "get_weather"}}
    asking = [{"role": "user", "content": "call the tool"}]
    result = [*asking, {"role": "tool", "tool_call_id": "x", "content": "sunny"}]
    assert finish(USER, tool_choice="required") == "tool_calls"
    assert finish(USER, tool_choice=named) == "tool_calls"
    assert finish(USER) == "stop"
    assert finish(asking, tool_choice="none") == "stop"
    assert finish(result) == "stop"


def test_json_answers_are_json(provider: ProviderProcess):
    """json_object answers an object, json_schema one that fits."""
    answer = provider.chat(response_format={"type": "json_object"}).json()
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"]), dict)
    schema = TOOL["function"]["parameters"]
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema}}
    answer = provider.chat(response_format=wanted).json()
    assert set(json.loads(answer["choices"][0]["message"]["content"])) == {"city", "days"}


def test_text_completions(client: openai.OpenAI, provider: ProviderProcess):
    """Whole and streamed completions agree; hidden candidates of best_of are billed."""
    whole = client.completions.create(model="sim-fast-1", prompt="Once upon a time", max_tokens=10)
    stream = client.completions.create(model="sim-fast-1", prompt="Once upon a time", max_tokens=10, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == whole.choices[0].text
    best = {"model": "sim-length-10", "prompt": ["a", "b"], "best_of": 4, "n": 2}
    answer = provider.client.post("/v1/completions", json=best).json()
    assert len(answer["choices"]) == 4
    assert answer["usage"]["completion_tokens"] == 80


def test_embeddings_are_unit_vectors(client: openai.OpenAI, provider: ProviderProcess):
    """Vectors have length one and the dimensions asked for; floats and base64 say the same."""
    made = client.embeddings.create(model="sim-embed-1", input=["cat", "dog"], dimensions=64)
    first, second = (item.embedding for item in made.data)
    assert len(first) == 64
    assert math.isclose(sum(value * value for value in first), 1, abs_tol=1e-4)
    assert first != second
    assert made.usage.prompt_tokens == 2
    body = {"model": "sim-embed-1", "input": "cat", "dimensions": 64, "encoding_format": "base64"}
    encoded = provider.client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    assert struct.unpack("<64f", base64.b64decode(encoded)) == pytest.approx(first, abs=1e-6)


def test_models_are_listed(client: openai.OpenAI):
    """Our models and the aliases are listed and can be looked up."""
    names = {model.id for model in client.models.list()}
    assert {"sim-fast-1", "sim-embed-1", "gpt-4o-mini"} <= names
    assert client.models.retrieve("sim-anything").id == "sim-anything"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"model":"sim-fast-1","messages":[]}', 400, None),
        (b'{"model":"sim-fast-1","messages":[{"role":"user"}],"n":0}', 400, None),
        (b'{"model":"sim-fast-1","messages":[{"role":"user","content":"\xff"}]}', 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"model":"sim-fast-1","messages":[{"role":"user","content":"\\ud800"}]}', 400, None),
        (b'{"model":"sim-fast-1","n":1e400,"messages":[{"role":"user","content":"x"}]}', 400, None),
        (b'{"model":"gpt-5","messages":[{"role":"user","content":"x"}]}', 404, "model_not_found"),
        (b'{"model":"sim-fault-oops","messages":[{"role":"user","content":"x"}]}', 400, None),
    ],
)
def test_bad_requests_are_refused_and_free(provider: ProviderProcess, body: bytes, status: int, code: str | None):
    """They get an error in OpenAI's shape, are listed, and cost nothing."""
    request_id = str(uuid.uuid4())
    answer = provider.client.post(CHAT, content=body, headers={"x-request-id": request_id})
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    row = provider.row(request_id)
    assert (row["outcome"], row["status"], row["prompt_tokens"], row["generated"]) == ("refused", status, 0, 0)


def test_unknown_paths(provider: ProviderProcess):
    """What is not there is 404, in OpenAI's shape."""
    assert provider.client.get("/v1/nothing").json()["error"]["code"] == "unknown_url"
    assert provider.client.get("/healthz").json() == {"status": "ok"}


def test_keys_are_checked():
    """With keys given, others get 401, costing nothing; health and the ledger stay open."""
    with running_provider("--pace-ms", "0", "--api-key", "one", "--api-key", "two") as guarded:
        assert guarded.chat().status_code == 401
        assert guarded.chat(headers={"authorization": "Bearer three"}).json()["error"]["code"] == "invalid_api_key"
        assert guarded.client.get("/v1/models").status_code == 401
        assert guarded.chat(headers={"authorization": "Bearer two"}).status_code == 200
        totals = guarded.client.get("/_sim/totals").json()
        assert (totals["calls"], totals["requests"]) == (3, 1)
        guarded.client.delete("/_sim")
        assert guarded.client.get("/_sim/totals").json()["calls"] == 0


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(stop: signal.Signals):
    """Told to stop it ends with exit code 0, an open connection notwithstanding."""
    with running_provider() as provider:
        provider.chat()
        provider.process.send_signal(stop)
        assert provider.process.wait(timeout=60) == 0


def events(response: httpx.Response) -> list[dict]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]
