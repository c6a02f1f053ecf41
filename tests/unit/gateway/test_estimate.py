"""The strict estimate: what it bounds, and what it refuses to bound."""

import json
from typing import Any

import pytest

from gateway.domain import chat_request
from gateway.domain.estimate import refuse_hidden_inputs
from gateway.domain.refusals import BadRequest

PDF = "data:application/pdf;base64,JVBERi0xLjQK"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def read_with(part: dict[str, Any]) -> tuple[chat_request.ChatRequest, chat_request.Fields]:
    return chat_request.read(json.dumps({"model": "fast", "messages": [{"role": "user", "content": [part]}]}).encode())


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ],
)
def test_what_may_expand_is_refused_under_a_strict_budget(part: dict[str, Any]) -> None:
    """Documents and sound even when inlined (they are compressed), images when they are somewhere else."""
    with pytest.raises(BadRequest) as refused:
        refuse_hidden_inputs(*read_with(part))
    assert (refused.value.code, refused.value.param) == ("unbounded_input", f"messages[].content[].{part['type']}")


@pytest.mark.parametrize("part", [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": PIXEL}}])
def test_text_and_inlined_images_are_accepted(part: dict[str, Any]) -> None:
    """Text is bounded by its bytes, an image by the model's table."""
    refuse_hidden_inputs(*read_with(part))
