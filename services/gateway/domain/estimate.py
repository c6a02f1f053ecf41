"""What a request may need before it is made: a bound it cannot pass (strict), or a good estimate that grows with it (sliced, expected).

Strict: tokens of text never outnumber its bytes, so the body's length bounds the prompt, with images by the model's table; the output
is bounded by the enforced cap times the number of choices; money by the dearest candidate. What the body does not show is refused, and
so is what may expand: a compressed document has more text than bytes.

Sliced and expected: the prompt by what the same key's last request to the same model came to per byte, else a third of its bytes;
hidden inputs at a stated cap. Of a sliced stream's output only a first slice is held.
"""

from typing import Literal

import msgspec

from common.contracts.prices import TOKENS_PER_RATE, ModelPrice
from gateway.domain.chat_request import ChatRequest, Fields, Part
from gateway.domain.learned_usage import PromptShape
from gateway.domain.refusals import BadRequest

Mode = Literal["strict", "sliced", "expected"]

PROMPT_CONSTANT = 128
"""Tokens for what an upstream's chat template adds around the messages."""

PER_MESSAGE = 8
SLICE_TOKENS = 1000
"""Output per choice that a sliced stream holds at first, and by which it grows."""

BYTES_PER_TOKEN = 3
"""Where nothing better is known, outside strict mode: prose and code have more, Chinese and Japanese about as many."""

HIDDEN_INPUT_TOKENS = 32_000
"""Outside strict mode, for every input whose size the body does not show: a remote image, a file, a hosted tool."""

_LEARNED_MARGIN = 1.05

_HIDDEN_INPUTS = frozenset(("web_search_options", "previous_response_id", "conversation", "prompt"))
_OWN_TOOLS = frozenset({"function", "custom"})
"""Tools that the client runs itself; what a hosted one reads is in no body."""

_UNBOUNDED_PARTS = frozenset(("input_audio", "file"))
"""Inlined or not: sound and documents become more tokens than they have bytes."""


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """What one attempt holds. `cap` is the output cap per choice that must be enforced upstream, `choices` how many there are.

    `output_rate`: nano-USD per million tokens, 0 without a price. `how` the prompt was counted: bytes | learned | length.
    """

    prompt_tokens: int
    completion_tokens: int
    nanousd: int
    cap: int
    choices: int = 1
    output_rate: int = 0
    how: str = "bytes"

    @property
    def tokens(self) -> int:
        """Prompt and completion together: what a token budget counts."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def most_output(self) -> int:
        """The output that the enforced cap allows, over all choices."""
        return self.cap * self.choices

    def next_slice(self) -> "tuple[int, int]":
        """(tokens, nano-USD) by which the hold grows next; (0, 0) when the cap is held already."""
        tokens = max(0, min(SLICE_TOKENS * self.choices, self.most_output - self.completion_tokens))
        return tokens, -(-tokens * self.output_rate // TOKENS_PER_RATE)

    def grown(self, tokens: int, nanousd: int) -> "Estimate":
        """The estimate after its hold has grown by so much output."""
        return msgspec.structs.replace(self, completion_tokens=self.completion_tokens + tokens, nanousd=self.nanousd + nanousd)


def output_cap(request: ChatRequest, price: ModelPrice | None, default_cap: int) -> int:
    """The enforced cap per choice: the client's, else the default or what the model can give at most."""
    return request.output_cap or (min(default_cap, price.max_output_tokens) if price else default_cap)


def strict_estimate(request: ChatRequest, body_length: int, price: ModelPrice | None, default_cap: int) -> Estimate:
    """An upper bound; money is 0 without a price (a cost budget refuses such a route before, or has a price for it)."""
    cap, choices = output_cap(request, price, default_cap), request.n or 1
    prompt = body_length + PROMPT_CONSTANT + PER_MESSAGE * len(request.messages)
    if price is not None and request.has_parts:
        prompt += price.image_tokens * sum(1 for part in request.parts() if part.type == "image_url")
    completion = cap * choices
    nanousd, rate = (price.bound(prompt, completion), price.output) if price else (0, 0)
    return Estimate(prompt, completion, nanousd, cap, choices, rate)


def likely_estimate(
    mode: Mode,
    request: ChatRequest,
    fields: Fields,
    body_length: int,
    price: ModelPrice | None,
    default_cap: int,
    *,
    shape: PromptShape | None,
    likely_output: int | None,
) -> Estimate:
    """The estimate of sliced and expected mode. `shape`: what the last such prompt came to."""
    cap, choices = output_cap(request, price, default_cap), request.n or 1
    cached = 0
    if shape is not None:
        prompt, how = int(body_length * shape.tokens_per_byte * _LEARNED_MARGIN) + PER_MESSAGE, "learned"
        cached = int(prompt * shape.cached_part)
    else:
        text, how = _length_of_text(request, body_length), "length"
        prompt = text + PROMPT_CONSTANT + PER_MESSAGE * len(request.messages) + _attachments(request, fields, price)
    completion = _first_output(mode, request, cap, likely_output) * choices
    if price is None:
        return Estimate(prompt, completion, 0, cap, choices, 0, how)
    cached_rate = price.input if price.cached_input is None else price.cached_input
    total = (prompt - cached) * price.input + cached * cached_rate + completion * price.output
    return Estimate(prompt, completion, -(-total // TOKENS_PER_RATE), cap, choices, price.output, how)


def _first_output(mode: Mode, request: ChatRequest, cap: int, likely_output: int | None) -> int:
    if mode == "sliced":
        return min(cap, SLICE_TOKENS) if request.stream else cap
    return cap if likely_output is None else min(cap, likely_output)


def _length_of_text(request: ChatRequest, body_length: int) -> int:
    images = sum(len(part.image_url.url) for part in request.parts() if part.image_url) if request.has_parts else 0
    return max(0, body_length - images) // BYTES_PER_TOKEN


def _attachments(request: ChatRequest, fields: Fields, price: ModelPrice | None) -> int:
    """Tokens for images by the model's table, and for what the body does not show at the stated cap."""
    hidden = len(_HIDDEN_INPUTS & fields.keys()) + sum(1 for tool in request.tools or () if tool.type not in _OWN_TOOLS)
    images = 0
    if request.has_parts:
        parts = request.parts()
        hidden += sum(1 for part in parts if _is_hidden(part))
        images = sum(1 for part in parts if part.type == "image_url" and not _is_hidden(part))
    return hidden * HIDDEN_INPUT_TOKENS + images * (price.image_tokens if price else HIDDEN_INPUT_TOKENS)


def refuse_hidden_inputs(request: ChatRequest, fields: Fields) -> None:
    """Raises BadRequest for inputs whose size the body does not show: no bound could be kept on them."""
    if not _HIDDEN_INPUTS.isdisjoint(fields):
        raise _hidden(next(name for name in fields if name in _HIDDEN_INPUTS))
    if request.modalities and "audio" in request.modalities:
        raise _hidden("modalities")
    if request.tools and any(tool.type not in _OWN_TOOLS for tool in request.tools):
        raise _hidden("tools")
    if request.has_parts:
        for part in request.parts():
            if _is_hidden(part):
                raise _hidden(f"messages[].content[].{part.type}")


def _is_hidden(part: Part) -> bool:
    if part.type == "image_url":
        return part.image_url is None or not part.image_url.url.startswith("data:")
    return part.type in _UNBOUNDED_PARTS


def _hidden(name: str) -> BadRequest:
    return BadRequest(
        f"'{name}' is not accepted under a strict budget: what it adds to the prompt cannot be bounded from the request.",
        param=name,
        code="unbounded_input",
    )
