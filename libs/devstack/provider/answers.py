"""What the model says: choices made of tokens, composed before the first of them is sent."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import msgspec

from devstack.provider.prompts import Prompt, asks_for_tool
from devstack.provider.prose import read_tokens
from devstack.provider.refusals import bad_request
from devstack.provider.requests import ChatRequest, GenerationRequest, Tool, decode_tools
from devstack.provider.schemas import example_of
from devstack.provider.tokens import count_tokens, tokenize

SHORTEST_ANSWER: Final = 20
LONGEST_ANSWER: Final = 60
LONGEST_ON_DEMAND: Final = 100_000

_FIXED_LENGTH = re.compile(r"sim-(?:cached-\d{1,2}-)?length-(\d{1,7})")


@dataclass(frozen=True, slots=True)
class CalledTool:
    id: str
    name: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`pieces` are one token each: of the text, or of the arguments when a tool is called (its name comes first)."""

    pieces: list[str]
    finish_reason: str
    tool: CalledTool | None = None

    @property
    def tokens(self) -> int:
        return len(self.pieces) + (self.tool.tokens if self.tool else 0)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def chat_choices(request: ChatRequest, prompt: Prompt) -> list[Choice]:
    limit = request.max_completion_tokens or request.max_tokens
    tool = _tool_to_call(request)
    choices = []
    for number in range(request.n or 1):
        seed = _seed_of(prompt, number)
        if tool is not None:
            choices.append(_tool_choice(tool, seed, limit))
        else:
            choices.append(_limited(_chat_tokens(request, seed), request, limit))
    return choices


def text_choice(request: GenerationRequest, prompt: Prompt, number: int) -> Choice:
    seed = _seed_of(prompt, number)
    return _limited(_prose_tokens(request.model, seed), request, request.max_tokens)


def _seed_of(prompt: Prompt, number: int) -> bytes:
    return prompt.seed if number == 0 else hashlib.sha256(prompt.seed + number.to_bytes(2)).digest()


def _chat_tokens(request: ChatRequest, seed: bytes) -> list[str]:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return _prose_tokens(request.model, seed)
    if wanted.type == "json_object":
        value = {"answer": "".join(read_tokens(seed, SHORTEST_ANSWER)), "seed": seed[:6].hex()}
        return tokenize(msgspec.json.encode(value).decode())
    if wanted.type == "json_schema" and wanted.json_schema is not None:
        return tokenize(msgspec.json.encode(example_of(wanted.json_schema.schema or {}, seed)).decode())
    raise bad_request("Invalid response_format: use text, json_object or json_schema.", "response_format")


def _prose_tokens(model: str, seed: bytes) -> list[str]:
    fixed = _FIXED_LENGTH.fullmatch(model)
    if fixed is not None:
        return read_tokens(seed, min(int(fixed[1]), LONGEST_ON_DEMAND))
    return read_tokens(seed, SHORTEST_ANSWER + seed[31] % (LONGEST_ANSWER - SHORTEST_ANSWER + 1))


def _limited(tokens: list[str], request: GenerationRequest, limit: int | None) -> Choice:
    """The tokens up to the first stop sequence or the limit, whichever comes first."""
    reason = "stop"
    if limit is not None and len(tokens) > limit:
        tokens, reason = tokens[:limit], "length"
    if request.stops:
        text = "".join(tokens)
        ends = [end for stop in request.stops if (end := text.find(stop)) >= 0]
        if ends:
            tokens, reason = tokenize(text[: min(ends)]), "stop"
    return Choice(tokens, reason)


def _tool_to_call(request: ChatRequest) -> Tool | None:
    tools = decode_tools(request.tools)
    chosen = request.tool_choice
    if isinstance(chosen, dict):
        function = chosen.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        for tool in tools:
            if tool.function.name == name:
                return tool
        raise bad_request("tool_choice names a tool that is not in tools.", "tool_choice")
    if chosen == "required" and not tools:
        raise bad_request("tool_choice is only allowed when tools are specified.", "tool_choice")
    if not tools or chosen == "none":
        return None
    return tools[0] if chosen == "required" or asks_for_tool(request.messages) else None


def _tool_choice(tool: Tool, seed: bytes, limit: int | None) -> Choice:
    arguments = example_of(tool.function.parameters or {"type": "object"}, seed)
    pieces = tokenize(msgspec.json.encode(arguments).decode())
    name_tokens = count_tokens(tool.function.name)
    reason = "tool_calls"
    if limit is not None and name_tokens + len(pieces) > limit:
        name_tokens = min(name_tokens, limit)
        pieces, reason = pieces[: limit - name_tokens], "length"
    return Choice(pieces, reason, CalledTool(f"call_{seed[:12].hex()}", tool.function.name, name_tokens))
