"""The strict estimate: an amount that the request cannot exceed, whatever the upstream makes of it.

Tokens of text never outnumber its bytes, so the body's length bounds the prompt, with images by the model's table; the output is
bounded by the enforced cap times the number of choices; money by the dearest candidate. What the body does not show is refused, and
so is what may expand: a compressed document has more text than bytes.
"""

import msgspec

from gateway.domain.chat_request import ChatRequest, Fields, Part
from gateway.domain.refusals import BadRequest
from gateway.domain.routing import Route

PROMPT_CONSTANT = 128
"""Tokens for what an upstream's chat template adds around the messages."""

PER_MESSAGE = 8

_HIDDEN_INPUTS = frozenset(("web_search_options", "previous_response_id", "conversation", "prompt"))
_OWN_TOOLS = frozenset({"function", "custom"})
"""Tools that the client runs itself; what a hosted one reads is in no body."""

_UNBOUNDED_PARTS = frozenset(("input_audio", "file"))
"""Inlined or not: sound and documents become more tokens than they have bytes."""


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """An upper bound, per attempt. `cap` is the output cap per choice that must be enforced upstream."""

    prompt_tokens: int
    completion_tokens: int
    nanousd: int
    cap: int

    @property
    def tokens(self) -> int:
        """Prompt and completion together: what a token budget counts."""
        return self.prompt_tokens + self.completion_tokens


def estimate(request: ChatRequest, body_length: int, route: Route, *, default_cap: int) -> Estimate:
    """The strict bound; money is 0 where the route is unpriced (a cost budget refuses such a route before)."""
    price = route.bound_price
    cap = request.output_cap or (min(default_cap, price.max_output_tokens) if price else default_cap)
    prompt = body_length + PROMPT_CONSTANT + PER_MESSAGE * len(request.messages)
    if price is not None and request.has_parts:
        prompt += price.image_tokens * sum(1 for part in request.parts() if part.type == "image_url")
    completion = cap * (request.n or 1)
    return Estimate(prompt, completion, price.bound(prompt, completion) if price else 0, cap)


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
