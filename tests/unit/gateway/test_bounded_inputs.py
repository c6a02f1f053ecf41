"""What a strict budget accepts and what it refuses to bound."""

import json
from typing import Any

import httpx
import pydantic
import pytest
from openai import OpenAI

from gateway.domain import chat_request
from gateway.domain.bounded_inputs import BOUNDED_FIELDS, hidden_inputs, refuse_hidden_inputs, unbounded_inputs
from gateway.domain.estimate import attachments
from gateway.domain.refusals import BadRequest

PDF = "data:application/pdf;base64,JVBERi0xLjQK"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def read(**fields: Any) -> tuple[chat_request.ChatRequest, chat_request.Fields]:
    body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}], **fields}
    return chat_request.read(json.dumps(body).encode())


def read_with(part: dict[str, Any]) -> tuple[chat_request.ChatRequest, chat_request.Fields]:
    return read(messages=[{"role": "user", "content": [part]}])


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": PDF}},
        {"type": "image_url", "image_url": {"url": "data:video/mp4;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,AAAA"}},
        {"type": "text", "text": "hi", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "text", "text": "hi", "file": {"file_data": PDF}},
        {"type": "image_url", "image_url": {"url": PIXEL}, "input_audio": {"data": "AAAA", "format": "mp3"}},
    ],
)
def test_what_may_expand_is_refused(part: dict[str, Any]) -> None:
    """Documents, sound and video even when inlined (they are compressed), images when they are somewhere else."""
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read_with(part))
    hidden = "file" if "file" in part else "input_audio" if "input_audio" in part else "image_url"
    assert (refused.value.code, refused.value.param) == ("unbounded_input", f"messages[].content[].{hidden}")


@pytest.mark.parametrize("named", ["format", "mime_type", "content_type", "video_metadata"])
def test_a_picture_that_is_called_something_else_is_refused(named: str) -> None:
    """Proxies let such a field overrule the media type of the address: what comes in as a picture goes on as a document."""
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read_with({"type": "image_url", "image_url": {"url": PIXEL, named: "application/pdf"}}))
    assert (refused.value.code, refused.value.param) == ("unbounded_input", f"messages[].content[].image_url.{named}")


FETCHED = {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"images": [{"image_url": {"url": "https://example.org/a.png"}}]}, "images"),
        ({"content": [{"type": "text", "text": "hi", "video_url": {"url": "https://example.org/a.mp4"}}]}, "content[].video_url"),
        ({"provider_specific_fields": {"tool_results": [FETCHED]}}, "provider_specific_fields.tool_results"),
        ({"provider_specific_fields": {"thinking_blocks": [FETCHED]}}, "provider_specific_fields.thinking_blocks[].source"),
        ({"thinking_blocks": [FETCHED]}, "thinking_blocks[].source"),
        ({"thinking_blocks": "none"}, "thinking_blocks"),
    ],
)
def test_fields_of_messages_that_may_bring_in_more_are_refused(message: dict[str, Any], param: str) -> None:
    """As at the top of the body: what is not known is refused by name. Only there: other modes pass it on and count its length."""
    request, fields = read(messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho", **message}])
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(request, fields)
    assert (refused.value.code, refused.value.param) == ("unbounded_input", f"messages[].{param}")
    assert unbounded_inputs(request, fields) == [f"messages[].{param}"]
    assert hidden_inputs(request, fields) == []


def test_answers_are_accepted_as_they_came() -> None:
    """With all that OpenAI, LiteLLM, vLLM and OpenRouter put into a message, and with marks of what is to be cached."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": {}}}
    answer = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": [call],
        "reasoning": "hm",
        "reasoning_content": "hm",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm"}],
        "thinking_blocks": [thought],
        "provider_specific_fields": {"refusal": None, "citations": None, "thinking_blocks": [thought]},
    }
    told = {"role": "tool", "tool_call_id": "c", "name": "f", "content": "1", "cache_control": {"type": "ephemeral"}}
    picture = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}, "cache_control": {"type": "ephemeral"}}
    asked = {"role": "user", "name": "ada", "content": [{"type": "text", "text": "hi", "cache_control": None}, picture]}
    said = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "prefix": True}
    refuse_hidden_inputs(*read(messages=[asked, answer, told, said]))


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's own, of what it has put there itself
def test_what_openais_client_has_parsed_is_accepted_when_it_comes_back() -> None:
    """The client writes its answer into the next request with all that it holds, also what the provider has added."""

    class Weather(pydantic.BaseModel):
        degrees: int

    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        message = {"role": "assistant", "content": '{"degrees": 3}', "extra_content": {"google": {"thought_signature": "s"}}}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return httpx.Response(200, json={"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})

    question = {"role": "user", "content": "How warm?"}
    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as transport,
        OpenAI(api_key="k", base_url="http://test", http_client=transport) as client,
    ):
        parsed = client.chat.completions.parse(model="m", messages=[question], response_format=Weather)
        client.chat.completions.create(model="m", messages=[question, parsed.choices[0].message, question])
    assert b'"parsed":{"degrees":3}' in bodies[1]
    for body in bodies:
        refuse_hidden_inputs(*chat_request.read(body))


def test_what_is_empty_brings_nothing_in() -> None:
    """Clients that write out all that might be there; one that is not known is refused as soon as it says something."""
    empty = {"type": "text", "text": "hi", "id": "lc_1", "image_url": None, "input_audio": None, "file": None, "video_url": None}
    message = {"role": "assistant", "images": [], "provider_specific_fields": {"web_search_results": None}, "content": [empty]}
    request, fields = read(messages=[message])
    refuse_hidden_inputs(request, fields)
    assert attachments(request, fields, None) == 0
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read(messages=[{**message, "images": ["x"]}]))
    assert refused.value.param == "messages[].images"


@pytest.mark.parametrize("field", ["tools", "messages"])
def test_what_is_nested_too_deeply_is_a_bad_request(field: str) -> None:
    """However deep it is, and whoever looks first: refused by name, accepted, or called too deep."""
    seen = set()
    for depth in range(300, 1_400, 50):
        deep = "[" * depth + "]" * depth
        message = (
            '{"role": "user", "content": "hi", "images": [1], "tool_calls": ' + (deep if field == "messages" else "null") + "}"
        )
        tool = '{"type": "function", "function": {"name": "f", "parameters": ' + (deep if field == "tools" else "{}") + "}}"
        try:
            refuse_hidden_inputs(*chat_request.read(f'{{"model": "fast", "messages": [{message}], "tools": [{tool}]}}'.encode()))
        except BadRequest as refused:
            seen.add(refused.code)
    assert seen == {"unbounded_input", "invalid_json"}


@pytest.mark.parametrize("part", [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": PIXEL}}])
def test_text_and_inlined_images_are_accepted(part: dict[str, Any]) -> None:
    """Text is bounded by its bytes, an image by the model's table."""
    refuse_hidden_inputs(*read_with(part))


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "file_search", "vector_store_ids": ["v"]},
        {"googleSearch": {}},
        {**TOOL, "googleSearch": {}},
        {"type": "function"},
        {"type": "mcp", "server_url": "https://example.org"},
        {"type": "web_search", "function": {"name": "f"}},
        {"type": "web_search_20250305", "function": {"name": "web_search"}},
        {"type": "computer_use", "custom": {"name": "c"}},
    ],
)
def test_tools_that_somebody_else_runs_are_refused(tool: dict[str, Any]) -> None:
    """What they read is in no body; also one that hides behind a tool of the client's own."""
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read(tools=[TOOL, tool]))
    assert refused.value.param == "tools"


@pytest.mark.parametrize("function", [{"googleSearch": {}}, {"type": "web_search"}, {"name": "f", "type": "web_search"}])
def test_functions_that_somebody_else_runs_are_refused(function: dict[str, Any]) -> None:
    """Proxies take the elements of `functions` for tools."""
    own = {"name": "f", "description": "does it", "parameters": {"type": "object"}}
    refuse_hidden_inputs(*read(functions=[own], function_call="auto"))
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read(functions=[own, function]))
    assert refused.value.param == "functions"


@pytest.mark.parametrize("tool", [TOOL, {"type": "custom", "custom": {"name": "c"}}, {"function": {"name": "f"}}])
def test_tools_of_the_client_are_accepted(tool: dict[str, Any]) -> None:
    """Their descriptions stand in the body."""
    refuse_hidden_inputs(*read(tools=[tool], tool_choice="auto"))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"web_search_options": {}}, "web_search_options"),
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"data_sources": [{"type": "azure_search"}]}, "data_sources"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio-1"}}]}, "messages[].audio"),
    ],
)
def test_fields_that_may_bring_in_more_are_refused(fields: dict[str, Any], param: str) -> None:
    """Whatever is not known to be bounded by its own bytes: providers keep inventing fields that search, fetch or remember."""
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read(**fields))
    assert refused.value.param == param


def test_every_ordinary_field_is_accepted() -> None:
    """All at once, as a client with many wishes sends them."""
    wishes = dict.fromkeys(BOUNDED_FIELDS - {"model", "messages"})
    request, fields = read(**wishes)
    assert not hidden_inputs(request, fields)
    refuse_hidden_inputs(request, fields)
