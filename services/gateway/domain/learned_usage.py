"""What earlier answers teach about the next: a key's prompts to a model, and how long a model's answers are."""

from collections import OrderedDict, deque
from typing import NamedTuple

from common.contracts.events import Usage

MOST_SHAPES = 20_000
REMEMBERED_OUTPUTS = 64
LEAST_OUTPUTS = 16
"""Fewer answers say nothing about the longest of twenty."""

TWENTIETH = 20


class PromptShape(NamedTuple):
    """The last request of a key to a route: tokens per byte of the prompt's text, the part of them that was cached, and how much output
    per choice was billed that the stream did not show.
    """

    tokens_per_byte: float
    cached_part: float
    hidden_output: int = 0


class LearnedUsage:
    """Of one process, in bounded memory; the keys least lately used are forgotten first. `route` is a tier or a model."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[tuple[str, str], PromptShape] = OrderedDict()
        self._outputs: dict[str, deque[int]] = {}

    def saw_prompt(self, key_id: str, route: str, text_length: int, usage: Usage, hidden_output: int) -> None:
        """A request of nothing but text has been answered, and its usage reported. `hidden_output`: of this answer, per choice."""
        if text_length <= 0 or usage.prompt_tokens <= 0:
            return
        name = (key_id, route)
        cached = min(1.0, usage.cached_prompt_tokens / usage.prompt_tokens)
        known = self._shapes.get(name)
        # What a model thinks in silence differs from answer to answer: the more of it counts, and fades.
        hidden = max(hidden_output, known.hidden_output // 2 if known else 0)
        self._shapes[name] = PromptShape(usage.prompt_tokens / text_length, cached, hidden)
        self._shapes.move_to_end(name)
        if len(self._shapes) > MOST_SHAPES:
            self._shapes.popitem(last=False)

    def saw_output(self, route: str, tokens: int) -> None:
        """An answer came to so much output per choice."""
        if len(self._outputs) < MOST_SHAPES or route in self._outputs:
            self._outputs.setdefault(route, deque(maxlen=REMEMBERED_OUTPUTS)).append(tokens)

    def shape(self, key_id: str, route: str) -> PromptShape | None:
        """What the key's last prompt to that route came to."""
        return self._shapes.get((key_id, route))

    def likely_output(self, route: str) -> int | None:
        """Nineteen of twenty late answers were not longer, per choice; None while there are too few to tell."""
        seen = self._outputs.get(route)
        if seen is None or len(seen) < LEAST_OUTPUTS:
            return None
        return sorted(seen)[-(-len(seen) * (TWENTIETH - 1) // TWENTIETH) - 1]
