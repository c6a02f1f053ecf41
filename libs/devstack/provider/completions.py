"""POST /v1/completions."""

import time
from typing import Any

import msgspec

from devstack.provider.answers import text_choice
from devstack.provider.calls import Call
from devstack.provider.event_stream import EventStream
from devstack.provider.prompts import split_inputs, text_prompt
from devstack.provider.refusals import bad_request
from devstack.provider.requests import CompletionRequest, decode

_DECODER = msgspec.json.Decoder(CompletionRequest)


class Completions:
    """One request; `best_of` candidates are generated and billed though only `n` of them are shown."""

    name = "completions"

    def __init__(self, body: bytes) -> None:
        self._request = request = decode(_DECODER, body)
        self.model = request.model
        self.stream = bool(request.stream)
        shown = request.n or 1
        made = request.best_of or shown
        if made < shown or (self.stream and made > shown):
            raise bad_request("best_of must be at least n, and cannot be streamed.", "best_of")
        prompts = [text_prompt(request.model, text) for text in split_inputs(request.prompt)] or [text_prompt(request.model, "")]
        self.prompt_tokens = sum(prompt.tokens for prompt in prompts)
        self._seed = prompts[0].seed
        self._made = [text_choice(request, prompt, number) for prompt in prompts for number in range(made)]
        self._shown = [choice for place, choice in enumerate(self._made) if place % made < shown]

    async def generate(self, call: Call) -> None:
        await call.generate(self._made)

    async def answer(self, call: Call) -> None:
        await call.generate(self._made)
        choices = [_choice(index, choice.text, choice.finish_reason) for index, choice in enumerate(self._shown)]
        answer = {**self._head(call), "choices": choices, "usage": call.usage(call.row.generated)}
        await call.reply(answer, sum(choice.tokens for choice in self._shown))

    async def stream_answer(self, call: Call) -> None:
        events = EventStream(call)
        head = self._head(call)
        if self._request.wants_usage:
            head["usage"] = None
        await events.open()
        await call.before_first_token()
        await self._stream_pieces(events, call, head)
        for index, choice in enumerate(self._shown):
            await events.send({**head, "choices": [_choice(index, "", choice.finish_reason)]})
        usage = call.usage(call.row.generated) if self._request.wants_usage else None
        if usage is not None:
            await events.send({**head, "choices": [], "usage": usage})
            call.note_reported(usage)
        await events.close()

    async def _stream_pieces(self, events: EventStream, call: Call, head: dict[str, Any]) -> None:
        for step in range(max(choice.tokens for choice in self._shown)):
            await call.before_token()
            for index, choice in enumerate(self._shown):
                if step < choice.tokens:
                    call.row.generated += 1
                    await events.send({**head, "choices": [_choice(index, choice.pieces[step], None)]}, 1)

    def _head(self, call: Call) -> dict[str, Any]:
        return {
            "id": f"cmpl-{self._seed[:8].hex()}{call.row.call:08d}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": self.model,
        }


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
