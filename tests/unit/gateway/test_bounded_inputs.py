"""What a strict budget accepts and what it refuses to bound."""

import json
from typing import Any

import pytest

from gateway.domain import chat_request
from gateway.domain.bounded_inputs import BOUNDED_FIELDS, hidden_inputs, refuse_hidden_inputs
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
    ],
)
def test_what_may_expand_is_refused(part: dict[str, Any]) -> None:
    """Documents, sound and video even when inlined (they are compressed), images when they are somewhere else."""
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read_with(part))
    assert (refused.value.code, refused.value.param) == ("unbounded_input", f"messages[].content[].{part['type']}")


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
    ],
)
def test_tools_that_somebody_else_runs_are_refused(tool: dict[str, Any]) -> None:
    """What they read is in no body; also one that hides behind a tool of the client's own."""
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read(tools=[TOOL, tool]))
    assert refused.value.param == "tools"


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
