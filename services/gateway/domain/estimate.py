"""What a request may need before it is made: a bound it cannot pass (strict), or a good estimate that grows with it (sliced, expected).

Strict: tokens of text never outnumber its bytes, so the body's length bounds the prompt, with images by the model's table; the output
is bounded by the enforced cap times the number of choices; money by the dearest candidate. What the body does not show is refused
(domain.bounded_inputs).

Sliced and expected: the prompt by what the same key's last request to the same model came to per byte, else its text by the model
family's tokenizer and the rest at a third of its bytes, else all of it; what the body does not show at a stated cap. Of a sliced
stream's output only a first slice is held. A predicted answer that does not come true is billed as output beside the answer, in
every mode.
"""

from typing import Literal

import msgspec
from msgspec import Raw

from common.contracts.prices import IMAGE_TOKENS, TOKENS_PER_RATE, ModelPrice
from gateway.domain.bounded_inputs import hidden_in, hidden_inputs
from gateway.domain.chat_request import ChatRequest, Fields
from gateway.domain.learned_usage import PromptShape

Mode = Literal["strict", "sliced", "expected"]

PROMPT_CONSTANT = 128
"""Tokens for what an upstream's chat template adds around the messages."""

TOOLS_CONSTANT = 1024
"""And for what it says to the model about tools, functions and the shape of the answer, where there are any."""

PER_MESSAGE = 8
SLICE_TOKENS = 1000
"""Output per choice that a sliced stream holds at first, and by which it grows."""

BYTES_PER_TOKEN = 3
"""Where nothing better is known, outside strict mode, as of tools, schemas and calls: prose and code have more, Chinese and Japanese
about as many."""

HIDDEN_INPUT_TOKENS = 32_000
"""Outside strict mode, for every input whose size the body does not show: a remote image, a file, a hosted tool."""

_LEARNED_MARGIN = 1.05
_LEAST_TOKENS_PER_BYTE = 1 / 8
"""What is learned from a prompt of blanks must not make the next one all but free."""

_DESCRIBED = frozenset(("tools", "functions", "response_format"))


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """What one attempt holds. `cap` is the output cap per choice that must be enforced upstream, `choices` how many there are.

    `output_rate`: nano-USD per million tokens, 0 without a price. `how` the prompt was counted: bytes | learned | tokenizer | length.
    `hidden_output`: tokens over all choices that are expected to be billed and not streamed, a prediction's among them outside strict
    mode. `predicted`: those alone; no cap bounds them.
    """

    prompt_tokens: int
    completion_tokens: int
    nanousd: int
    cap: int
    choices: int = 1
    output_rate: int = 0
    how: str = "bytes"
    hidden_output: int = 0
    predicted: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion together: what a token budget counts."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def most_output(self) -> int:
        """The output that the enforced cap allows, over all choices, and what a prediction adds to it."""
        return self.cap * self.choices + self.predicted

    def next_slice(self) -> "tuple[int, int]":
        """(tokens, nano-USD) by which the hold grows next; (0, 0) when the cap is held already."""
        tokens = max(0, min(SLICE_TOKENS * self.choices, self.most_output - self.completion_tokens))
        return tokens, self.output_cost(tokens)

    def rest(self) -> "tuple[int, int]":
        """(tokens, nano-USD) that are still to be held for the cap to be."""
        tokens = max(0, self.most_output - self.completion_tokens)
        return tokens, self.output_cost(tokens)

    def output_cost(self, tokens: int) -> int:
        """Nano-USD for so much output, rounded up."""
        return -(-tokens * self.output_rate // TOKENS_PER_RATE)

    def grown(self, tokens: int, nanousd: int) -> "Estimate":
        """The estimate after its hold has grown by so much output."""
        return msgspec.structs.replace(self, completion_tokens=self.completion_tokens + tokens, nanousd=self.nanousd + nanousd)


def output_cap(request: ChatRequest, price: ModelPrice | None, default_cap: int) -> int:
    """The enforced cap per choice: the client's, else the default or what the model can give at most."""
    return request.output_cap or (min(default_cap, price.max_output_tokens) if price else default_cap)


def strict_estimate(
    request: ChatRequest, fields: Fields, body_length: int, price: ModelPrice | None, default_cap: int
) -> Estimate:
    """An upper bound; money is 0 without a price (a cost budget refuses such a route before, or has a price for it)."""
    cap, choices = output_cap(request, price, default_cap), request.n or 1
    prompt = body_length + _around(request, fields)
    if request.has_parts:
        images = sum(1 for part in request.parts() if part.type == "image_url")
        prompt += images * (price.image_tokens if price else IMAGE_TOKENS)
    predicted = _prediction_length(fields) * choices
    completion = cap * choices + predicted
    nanousd, rate = (price.bound(prompt, completion), price.output) if price else (0, 0)
    return Estimate(prompt, completion, nanousd, cap, choices, rate, predicted=predicted)


def likely_estimate(
    mode: Mode,
    request: ChatRequest,
    fields: Fields,
    body_length: int,
    price: ModelPrice | None,
    default_cap: int,
    *,
    shape: PromptShape | None,
    counted: int | None,
    likely_output: int | None,
) -> Estimate:
    """The estimate of sliced and expected mode. `shape`: what the last such prompt came to; `counted`: this one, by a tokenizer."""
    cap, choices = output_cap(request, price, default_cap), request.n or 1
    length = text_length(request, fields, body_length)
    predicted = _prediction_length(fields) // BYTES_PER_TOKEN * choices
    cached = hidden = 0
    if shape is not None:
        per_byte = max(shape.tokens_per_byte, _LEAST_TOKENS_PER_BYTE)
        prompt, how = int(length * per_byte * _LEARNED_MARGIN) + PER_MESSAGE, "learned"
        cached = int(prompt * shape.cached_part)
        hidden = shape.hidden_output * choices
    elif counted is not None:
        beside = _length_beside_text(request, fields, length)
        prompt, how = counted + beside // BYTES_PER_TOKEN + _around(request, fields), "tokenizer"
    else:
        prompt, how = length // BYTES_PER_TOKEN + _around(request, fields), "length"
    prompt += attachments(request, fields, price)
    completion = _first_output(mode, request, cap * choices, SLICE_TOKENS * choices + hidden, likely_output) + predicted
    hidden += predicted
    if price is None:
        return Estimate(prompt, completion, 0, cap, choices, 0, how, hidden, predicted)
    cached_rate = price.input if price.cached_input is None else price.cached_input
    total = (prompt - cached) * price.input + cached * cached_rate + completion * price.output
    return Estimate(prompt, completion, -(-total // TOKENS_PER_RATE), cap, choices, price.output, how, hidden, predicted)


def _first_output(mode: Mode, request: ChatRequest, most: int, slice_tokens: int, likely_output: int | None) -> int:
    if mode == "sliced":
        return min(most, slice_tokens) if request.stream else most
    return most if likely_output is None else min(most, likely_output * (request.n or 1))


def _around(request: ChatRequest, fields: Fields) -> int:
    """Tokens that the upstream puts around what stands in the body."""
    tokens = PROMPT_CONSTANT + PER_MESSAGE * len(request.messages)
    return tokens if _DESCRIBED.isdisjoint(fields) else tokens + TOOLS_CONSTANT


def text_length(request: ChatRequest, fields: Fields, body_length: int) -> int:
    """Bytes of the body without what is counted otherwise: inlined images and sound, and a prediction."""
    length = body_length - _prediction_length(fields)
    if request.has_parts:
        for part in request.parts():
            length -= len(bytes(part.input_audio))
            if part.image_url:
                length -= len(part.image_url.url)
    return max(0, length)


def _prediction_length(fields: Fields) -> int:
    return len(bytes(fields["prediction"])) if "prediction" in fields else 0


def _length_beside_text(request: ChatRequest, fields: Fields, length: int) -> int:
    """Bytes of what is no text of a message: tools and the calls of them, schemas, and the JSON around it all."""
    return max(0, length - _written_length("\n".join(request.texts()), fields["messages"]))


def _written_length(text: str, messages: Raw) -> int:
    """Bytes that a text has in the body, without escapes of quotes and new lines. Many clients write every letter beyond ASCII in six
    bytes, or twice six.
    """
    if text.isascii():
        return len(text)
    if not bytes(messages).isascii():
        return len(text.encode())
    plain = len(text.encode("ascii", "ignore"))
    return plain + 6 * (len(text.encode("utf-16-le")) // 2 - plain)


def attachments(request: ChatRequest, fields: Fields, price: ModelPrice | None) -> int:
    """Tokens for images by the model's table, and for what the body does not show at the stated cap."""
    hidden = hidden_inputs(request, fields)
    images = 0
    if request.has_parts:
        images = sum(1 for part in request.parts() if part.type == "image_url" and not hidden_in(part))
    return len(hidden) * HIDDEN_INPUT_TOKENS + images * (price.image_tokens if price else IMAGE_TOKENS)
