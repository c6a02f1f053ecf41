"""What we read of requests; everything else in them is ignored."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from devstack.provider.refusals import bad_request

ChoiceCount = Annotated[int, Meta(ge=1, le=128)]
TokenLimit = Annotated[int, Meta(ge=1, le=10_000_000)]
TokenIds = list[int]


class Part(Struct):
    type: str = "text"
    text: str | None = None


class CalledFunction(Struct):
    name: str = ""
    arguments: str = ""


class ToolCall(Struct):
    function: CalledFunction = field(default_factory=CalledFunction)


class Message(Struct):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None


class FunctionDefinition(Struct):
    name: str
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    function: FunctionDefinition


class SchemaFormat(Struct):
    schema: dict[str, Any] | None = None


class ResponseFormat(Struct):
    type: str = "text"
    json_schema: SchemaFormat | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class GenerationRequest(Struct, kw_only=True):
    """What chat and text completions have in common."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: ChoiceCount | None = None
    max_tokens: TokenLimit | None = None
    stop: str | list[str] | None = None

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def stops(self) -> list[str]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]


class ChatRequest(GenerationRequest, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: TokenLimit | None = None
    tools: Raw = Raw()  # counted as the client wrote it
    tool_choice: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None


class CompletionRequest(GenerationRequest, kw_only=True):
    prompt: str | list[str | int | TokenIds] = ""
    best_of: ChoiceCount | None = None


class EmbeddingRequest(Struct, kw_only=True):
    model: str
    input: str | Annotated[list[str | int | TokenIds], Meta(min_length=1, max_length=2048)]
    dimensions: Annotated[int, Meta(ge=1, le=8192)] | None = None
    encoding_format: str | None = None


Request = TypeVar("Request")


def decode(decoder: msgspec.json.Decoder[Request], body: bytes) -> Request:
    """Raises a 400 refusal in OpenAI's shape for anything that is not such a request."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad_request(f"Invalid request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request("We could not parse the JSON body of your request.") from error


def decode_tools(raw: Raw) -> list[Tool]:
    if not raw or bytes(raw) == b"null":
        return []
    return decode(_TOOLS, bytes(raw))


_TOOLS = msgspec.json.Decoder(list[Tool])
