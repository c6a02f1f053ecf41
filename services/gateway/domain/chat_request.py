"""What we read of a chat completion request, and how its body is rewritten for an upstream.

The upstream gets the fields as the client wrote them, re-encoded from the decoded object: of duplicate keys the last one counts for
us and for the upstream alike.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from gateway.domain.refusals import BadRequest

LONGEST_USER = 256
"""Characters of the field `user`."""

NOTHING: Final = Raw(b"")
"""Of a field that is not there."""

TokenCap = Annotated[int, Meta(ge=1, le=10_000_000)]


class ImageUrl(msgspec.Struct):
    """An image part's address: remote, or inlined as a data URL."""

    url: str


class Part(msgspec.Struct):
    """One part of a message's content."""

    type: Literal["text", "image_url", "input_audio", "file", "refusal"]
    text: str | None = None
    image_url: ImageUrl | None = None
    input_audio: Raw = NOTHING
    file: Raw = NOTHING


class AudioAnswer(msgspec.Struct):
    """An earlier answer in sound, by reference."""

    id: str = ""


class Message(msgspec.Struct):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Sequence[Part] | None = None
    audio: AudioAnswer | None = None


class Tool(msgspec.Struct):
    """A tool: its kind is all we read."""

    type: str = "function"


class StreamOptions(msgspec.Struct):
    """The one stream option that concerns us."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    """The fields that decide on routing, estimate, caching and relay."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[Sequence[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCap | None = None
    max_completion_tokens: TokenCap | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    user: Annotated[str, Meta(max_length=LONGEST_USER)] | None = None
    modalities: list[str] | None = None
    tools: list[Tool] | None = None
    functions: list[dict[str, Raw]] | None = None
    service_tier: str | None = None

    @property
    def output_cap(self) -> int | None:
        """The client's own bound on the tokens of one choice."""
        if self.max_tokens and self.max_completion_tokens:
            return max(self.max_tokens, self.max_completion_tokens)  # upstreams differ in which of the two they obey
        return self.max_completion_tokens or self.max_tokens

    @property
    def end_user(self) -> str | None:
        """On whose behalf the client asks, by OpenAI's field `user`; without the one character that no database keeps."""
        return None if self.user is None else end_user_of(self.user)

    def texts(self) -> Iterator[str]:
        """All text content, message by message and part by part."""
        for message in self.messages:
            content = message.content
            if isinstance(content, str):
                yield content
            elif content:
                yield from (part.text for part in content if part.text)

    def characters(self) -> int:
        """Characters of all text content: what the choice of a tier goes by."""
        total = 0
        for message in self.messages:
            content = message.content
            if isinstance(content, str):
                total += len(content)
            elif content:
                total += sum(len(part.text) for part in content if part.text)
        return total

    @property
    def has_parts(self) -> bool:
        """Whether any message's content is a list of parts."""
        for message in self.messages:  # noqa: SIM110 - a generator costs more than all the rest of it
            if isinstance(message.content, list):
                return True
        return False

    def parts(self) -> list[Part]:
        """All content parts of messages written as lists."""
        return [part for message in self.messages if isinstance(message.content, list) for part in message.content]


class KnownImageUrl(ImageUrl, forbid_unknown_fields=True):
    """An address and nothing that could make another kind of input of what is there."""

    detail: Raw = NOTHING


class KnownPart(Part, forbid_unknown_fields=True):
    """A part with all of its fields."""

    image_url: KnownImageUrl | None = None
    id: Raw = NOTHING
    refusal: Raw = NOTHING
    annotations: Raw = NOTHING
    cache_control: Raw = NOTHING


class ThoughtBlock(msgspec.Struct, forbid_unknown_fields=True):
    """A thought of an earlier answer; proxies pass on what stands here as it is."""

    type: Raw = NOTHING
    thinking: Raw = NOTHING
    signature: Raw = NOTHING
    data: Raw = NOTHING
    cache_control: Raw = NOTHING


class ProviderFields(msgspec.Struct, forbid_unknown_fields=True):
    """What LiteLLM adds to an answer, without the results of hosted tools, which it would make parts of the prompt again."""

    refusal: Raw = NOTHING
    annotations: Raw = NOTHING
    citations: Raw = NOTHING
    citationsContent: Raw = NOTHING  # noqa: N815 - as Bedrock writes it
    thinking_blocks: list[ThoughtBlock] | None = None
    reasoning: Raw = NOTHING
    reasoning_content: Raw = NOTHING
    reasoning_details: Raw = NOTHING
    reasoningContentBlocks: Raw = NOTHING  # noqa: N815 - as Bedrock writes it
    reasoning_items: Raw = NOTHING
    thought_signatures: Raw = NOTHING
    extra_content: Raw = NOTHING


class KnownMessage(Message, forbid_unknown_fields=True):
    """A message with all fields that bring nothing into the prompt but what stands in them."""

    content: str | Sequence[KnownPart] | None = None
    name: Raw = NOTHING
    tool_calls: Raw = NOTHING
    tool_call_id: Raw = NOTHING
    function_call: Raw = NOTHING
    refusal: Raw = NOTHING
    annotations: Raw = NOTHING
    reasoning: Raw = NOTHING
    reasoning_content: Raw = NOTHING
    reasoning_details: Raw = NOTHING
    reasoning_items: Raw = NOTHING
    extra_content: Raw = NOTHING
    parsed: Raw = NOTHING
    thinking_blocks: list[ThoughtBlock] | None = None
    provider_specific_fields: ProviderFields | None = None
    cache_control: Raw = NOTHING
    prefix: Raw = NOTHING
    partial: Raw = NOTHING


class KnownRequest(ChatRequest):
    """A request whose messages have no field that we do not know, which is what most are."""

    messages: Annotated[Sequence[KnownMessage], Meta(min_length=1)]


Fields = dict[str, Raw]

STEERING_FIELDS = frozenset(
    (
        "api_base",
        "base_url",
        "api_key",
        "api_version",
        "api_type",
        "extra_headers",
        "extra_body",
        "extra_query",
        "headers",
        "user_config",
        "model_list",
        "fallbacks",
        "context_window_fallbacks",
        "content_policy_fallbacks",
        "custom_llm_provider",
        "mock_response",
        "mock_tool_calls",
        "num_retries",
        "max_retries",
        "request_timeout",
        "timeout",
        "deployment_id",
        "organization",
        "region_name",
        "caching",
        "cache",
        "no-log",
        "guardrails",
        "litellm_metadata",
        "litellm_params",
        "litellm_call_id",
        "litellm_session_id",
        "litellm_trace_id",
        "proxy_server_request",
        "secret_fields",
        "input_cost_per_token",
        "output_cost_per_token",
        "best_of",
    )
)
"""Fields by which a body could steer an upstream proxy elsewhere, to another price or another account: refused by name."""

_STEERING_PREFIXES = ("aws_", "vertex_", "azure_", "watsonx_")

_SERVICE_TIERS = (None, "default", "flex")
"""What costs no more than the price book says; `auto` may become `priority` by a setting of the provider's account."""

_known_decoder = msgspec.json.Decoder(KnownRequest)
_request_decoder = msgspec.json.Decoder(ChatRequest)
_fields_decoder = msgspec.json.Decoder(Fields)
_encode = msgspec.json.Encoder().encode

_CAP_FIELDS = ("max_tokens", "max_completion_tokens")
"""Upstreams differ in which they obey."""

RAW_INCLUDE_USAGE = Raw(b'{"include_usage":true}')


def end_user_of(user: str) -> str:
    """An end user's name as limits and books have it."""
    return user.replace("\0", "\ufffd") if "\0" in user else user


def read(body: bytes) -> tuple[ChatRequest, Fields]:
    """A checked request and its fields as written; raises BadRequest naming the field."""
    try:
        request = _request_of(body)
        fields = _fields_decoder.decode(body)
        str(body, "utf-8")  # values that are only passed on have not been looked into
    except msgspec.ValidationError as problem:
        raise _invalid(problem) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("The body is not valid JSON.", code="invalid_json") from None
    except RecursionError:
        raise nested_too_deeply() from None
    for name in fields:
        if name in STEERING_FIELDS or name.startswith(_STEERING_PREFIXES):
            raise _unsupported(name)
    if request.service_tier not in _SERVICE_TIERS:
        raise _unsupported("service_tier")
    return request, fields


def _request_of(body: bytes) -> ChatRequest:
    try:
        return _known_decoder.decode(body)
    except msgspec.ValidationError:  # wrong, or with fields that we do not know: both are rare
        return _request_decoder.decode(body)


def nested_too_deeply() -> BadRequest:
    """Of a body that cannot be looked into; how deep that is depends on who looks."""
    return BadRequest("The body is nested too deeply.", code="invalid_json")


def _unsupported(refused: str) -> BadRequest:
    return BadRequest(f"Unsupported parameter: '{refused}'.", param=refused, code="unsupported_parameter")


def _invalid(problem: msgspec.ValidationError) -> BadRequest:
    sentence, _, path = str(problem).partition(" - at `$")
    param = path.rstrip("`").lstrip(".") or None
    if param is None and "missing required field" in sentence:
        param = sentence.rsplit("`", 2)[-2]
    return BadRequest(f"{sentence}." if param is None else f"{sentence}: '{param}'.", param=param, code="invalid_type_or_value")


def body_for(fields: Fields, request: ChatRequest, *, model: bytes, cap_field: str, cap: int | None) -> bytes:
    """The body for one upstream: its model name (as JSON), usage always asked of a stream; `cap`, where it must not be passed, in the one
    field that this upstream obeys.
    """
    fields["model"] = Raw(model)
    if request.stream:
        fields["stream_options"] = RAW_INCLUDE_USAGE
    if cap is not None and not _says_so(fields, request, cap_field, cap):
        for name in _CAP_FIELDS:
            fields.pop(name, None)
        fields[cap_field] = Raw(b"%d" % cap)
    return _encode(fields)


def _says_so(fields: Fields, request: ChatRequest, cap_field: str, cap: int) -> bool:
    """Whether the client has set just that cap, in just the field that the upstream obeys."""
    if cap_field == "max_tokens":
        return request.max_tokens == cap and "max_completion_tokens" not in fields
    return request.max_completion_tokens == cap and "max_tokens" not in fields
