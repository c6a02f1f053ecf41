"""POST /v1/embeddings: unit vectors that are a function of model and text."""

import array
import base64
import hashlib
import math
from typing import Final

import msgspec

from devstack.provider.calls import Call
from devstack.provider.prompts import split_inputs, text_prompt
from devstack.provider.refusals import bad_request
from devstack.provider.requests import EmbeddingRequest, decode

DEFAULT_DIMENSIONS: Final = 256

_DECODER = msgspec.json.Decoder(EmbeddingRequest)


class Embeddings:
    """One request; nothing is generated, the prompt is what is billed."""

    name = "embeddings"
    stream = False

    def __init__(self, body: bytes) -> None:
        self._request = decode(_DECODER, body)
        if self._request.encoding_format not in (None, "float", "base64"):
            raise bad_request("encoding_format must be float or base64.", "encoding_format")
        self.model = self._request.model
        self._prompts = [text_prompt(self.model, part) for part in split_inputs(self._request.input)]
        self.prompt_tokens = sum(prompt.tokens for prompt in self._prompts)

    async def generate(self, call: Call) -> None:
        await call.before_first_token()

    async def answer(self, call: Call) -> None:
        await call.before_first_token()
        usage = call.usage(0)
        if usage:
            usage = {name: usage[name] for name in ("prompt_tokens", "total_tokens")}
        data = [
            {"object": "embedding", "index": index, "embedding": self._vector(prompt.seed)}
            for index, prompt in enumerate(self._prompts)
        ]
        await call.reply({"object": "list", "data": data, "model": self.model, "usage": usage}, 0)

    async def stream_answer(self, call: Call) -> None:
        await self.answer(call)

    def _vector(self, seed: bytes) -> list[float] | str:
        vector = unit_vector(seed, self._request.dimensions or DEFAULT_DIMENSIONS)
        if self._request.encoding_format == "base64":
            return base64.b64encode(vector.tobytes()).decode()
        return [round(value, 7) for value in vector]


def unit_vector(seed: bytes, dimensions: int) -> "array.array[float]":
    raw = array.array("h", hashlib.shake_256(seed).digest(2 * dimensions))
    # Never all zeros, so the length is never zero.
    values = [value + 0.5 for value in raw]
    length = math.sqrt(sum(value * value for value in values))
    return array.array("f", [value / length for value in values])
