"""POST /v1/chat/completions."""

import time
from typing import Any

import msgspec

from devstack.provider.answers import Choice, chat_choices
from devstack.provider.calls import Call
from devstack.provider.event_stream import EventStream
from devstack.provider.prompts import Prompt, chat_prompt
from devstack.provider.requests import ChatRequest, decode

_DECODER = msgspec.json.Decoder(ChatRequest)


class ChatCompletions:
    """One request: read and composed before anything is booked, so that a bad one costs nothing."""

    name = "chat.completions"

    def __init__(self, body: bytes) -> None:
        self._request = decode(_DECODER, body)
        self.model = self._request.model
        self.stream = bool(self._request.stream)
        self._prompt: Prompt = chat_prompt(self._request)
        self.prompt_tokens = self._prompt.tokens
        self._choices = chat_choices(self._request, self._prompt)

    async def generate(self, call: Call) -> None:
        await call.generate(self._choices)

    async def answer(self, call: Call) -> None:
        await call.generate(self._choices)
        tokens = call.row.generated
        head = self._head(call, "chat.completion")
        choices = [
            {"index": index, "message": _message(choice), "logprobs": None, "finish_reason": choice.finish_reason}
            for index, choice in enumerate(self._choices)
        ]
        await call.reply({**head, "choices": choices, "usage": call.usage(tokens)}, tokens)

    async def stream_answer(self, call: Call) -> None:
        events = EventStream(call)
        head = self._head(call, "chat.completion.chunk")
        if self._request.wants_usage:
            head["usage"] = None
        await events.open()
        await call.before_first_token()
        await self._stream_openings(events, call, head)
        await self._stream_pieces(events, call, head)
        for index, choice in enumerate(self._choices):
            await events.send({**head, "choices": [_delta(index, {}, choice.finish_reason)]})
        usage = call.usage(call.row.generated) if self._request.wants_usage else None
        if usage is not None:
            await events.send({**head, "choices": [], "usage": usage})
            call.note_reported(usage)
        await events.close()

    async def _stream_openings(self, events: EventStream, call: Call, head: dict[str, Any]) -> None:
        for index, choice in enumerate(self._choices):
            delta: dict[str, Any] = {"role": "assistant", "content": ""}
            named = 0
            if choice.tool is not None:
                named = choice.tool.tokens
                function = {"name": choice.tool.name, "arguments": ""}
                called = {"index": 0, "id": choice.tool.id, "type": "function", "function": function}
                delta = {"role": "assistant", "content": None, "tool_calls": [called]}
            call.row.generated += named
            await events.send({**head, "choices": [_delta(index, delta)]}, named)

    async def _stream_pieces(self, events: EventStream, call: Call, head: dict[str, Any]) -> None:
        for step in range(max(len(choice.pieces) for choice in self._choices)):
            await call.before_token()
            for index, choice in enumerate(self._choices):
                if step < len(choice.pieces):
                    call.row.generated += 1
                    delta = _piece(choice, choice.pieces[step])
                    await events.send({**head, "choices": [_delta(index, delta)]}, 1)

    def _head(self, call: Call, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._prompt.seed[:8].hex()}{call.row.call:08d}",
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
            "system_fingerprint": "fp_sim",
        }


def _message(choice: Choice) -> dict[str, Any]:
    if choice.tool is None:
        return {"role": "assistant", "content": choice.text, "refusal": None}
    function = {"name": choice.tool.name, "arguments": choice.text}
    called = {"id": choice.tool.id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [called]}


def _piece(choice: Choice, piece: str) -> dict[str, Any]:
    if choice.tool is None:
        return {"content": piece}
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _delta(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
