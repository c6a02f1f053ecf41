"""What a strict budget accepts: inputs whose tokens the body's own bytes bound. Everything else it refuses by name."""

import re
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.domain.chat_request import ChatRequest, Fields, KnownMessage, KnownRequest, Part, Tool, nested_too_deeply
from gateway.domain.refusals import BadRequest

BOUNDED_FIELDS: Final = frozenset(
    (
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "stop",
        "seed",
        "user",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "reasoning_effort",
        "reasoning",
        "thinking",
        "verbosity",
        "prediction",
        "modalities",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "chat_template_kwargs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "structured_outputs",
        "ignore_eos",
        "skip_special_tokens",
    )
)
"""Fields that bring nothing into the prompt but what stands in them, and no output beyond the cap. What is not known to be such may
make an upstream fetch, search or remember."""

_FUNCTION_FIELDS: Final = frozenset(("name", "description", "parameters", "strict"))
_TOOL_FIELDS: Final = frozenset(("type", "function", "custom", "strict", "cache_control"))
_OWN_TOOLS: Final = frozenset(("function", "custom"))
"""Tools that the client runs itself; what a hosted one reads is in no body."""

_UNBOUNDED_PARTS: Final = frozenset(("input_audio", "file"))
"""Inlined or not: sound and documents become more tokens than they have bytes."""

_PICTURE: Final = re.compile(r"data:image/(?:png|jpe?g|webp|gif)[;,]", re.IGNORECASE)
_INDEX: Final = re.compile(r"\[\d+\]")
_ABSENT: Final = (b"", b"null")
_decode_tools: Final = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
_decode_messages: Final = msgspec.json.Decoder(list[KnownMessage]).decode


def hidden_inputs(request: ChatRequest, fields: Fields) -> list[str]:
    """Names of the inputs whose size the body does not show, in the order of their finding; empty for most."""
    found = [name for name in fields if name not in BOUNDED_FIELDS]
    if request.modalities and "audio" in request.modalities:
        found.append("modalities")
    if request.tools:
        found += ["tools"] * sum(not is_own for is_own in _own_tools(request.tools, fields["tools"]))
    if request.functions:
        found += ["functions"] * sum(not _is_function(function) for function in request.functions)
    for message in request.messages:
        if message.audio is not None:
            found.append("messages[].audio")
        if isinstance(message.content, list):
            found += [f"messages[].content[].{name}" for part in message.content if (name := hidden_in(part))]
    return found


def unbounded_inputs(request: ChatRequest, fields: Fields) -> list[str]:
    """What a strict budget refuses: hidden inputs, and the first field inside a message that is not known."""
    found = hidden_inputs(request, fields)
    if not isinstance(request, KnownRequest):
        found += _unknown_in_messages(fields["messages"])
    return found


def refuse_hidden_inputs(request: ChatRequest, fields: Fields) -> None:
    """Raises BadRequest for the first of them: no bound could be kept on it."""
    if not _may_hide(request, fields):
        return
    for name in unbounded_inputs(request, fields):
        raise BadRequest(
            f"'{name}' is not accepted under a strict budget: what it adds to the prompt cannot be bounded from the request.",
            param=name,
            code="unbounded_input",
        )


def _may_hide(request: ChatRequest, fields: Fields) -> bool:
    """One look at what most requests are made of."""
    if request.tools or request.functions or request.modalities or not fields.keys() <= BOUNDED_FIELDS:
        return True
    if not isinstance(request, KnownRequest):
        return True
    for message in request.messages:  # noqa: SIM110 - a generator costs more than all the rest of it
        if message.audio is not None or isinstance(message.content, list):
            return True
    return False


def _own_tools(tools: list[Tool], raw: Raw) -> list[bool]:
    """Of each tool, whether the client runs it itself and nothing else is asked for beside it. Raises BadRequest."""
    try:
        as_written = _decode_tools(raw)
    except RecursionError:
        raise nested_too_deeply() from None
    return [
        tool.type in _OWN_TOOLS and written.keys() <= _TOOL_FIELDS and not _OWN_TOOLS.isdisjoint(written)
        for tool, written in zip(tools, as_written, strict=True)
    ]


def _is_function(written: dict[str, Raw]) -> bool:
    """Proxies make hosted tools of what has no name, or has a type."""
    return "name" in written and written.keys() <= _FUNCTION_FIELDS


def hidden_in(part: Part) -> str:
    """What of it may be larger than it looks; "" for nothing."""
    if part.type in _UNBOUNDED_PARTS:
        return part.type
    if bytes(part.file) not in _ABSENT:
        return "file"
    if bytes(part.input_audio) not in _ABSENT:
        return "input_audio"
    if part.type == "image_url":
        return "" if part.image_url is not None and _PICTURE.match(part.image_url.url) else "image_url"
    return "" if part.image_url is None else "image_url"


def _unknown_in_messages(raw: Raw) -> list[str]:
    """The path of the first field that no message, part or picture is known to have, without its indexes. What is empty brings nothing.
    Raises BadRequest.
    """
    try:
        _decode_messages(_encode(_said(_decode_any(raw))))
    except msgspec.ValidationError as problem:
        sentence, _, path = str(problem).partition(" - at `$")
        unknown = sentence.rsplit("`", 2)[-2] if "unknown field" in sentence else ""
        place = "messages" + _INDEX.sub("[]", path.rstrip("`"))
        return [f"{place}.{unknown}" if unknown else place]
    except RecursionError:
        raise nested_too_deeply() from None
    return []


def _said(value: Any) -> Any:
    """The same without members that are null or an empty list."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None and inner != []}
    return [_said(inner) for inner in value] if isinstance(value, list) else value
