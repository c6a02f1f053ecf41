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
    """The last prompt of a key to a model: tokens per byte of the body, and the part of it that was cached."""

    tokens_per_byte: float
    cached_part: float


class LearnedUsage:
    """Of one process, in bounded memory; the keys least lately used are forgotten first. `route` is a tier or a model."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[tuple[str, str], PromptShape] = OrderedDict()
        self._outputs: dict[str, deque[int]] = {}

    def saw(self, key_id: str, route: str, body_length: int, usage: Usage, choices: int) -> None:
        """An answer has reported its usage."""
        if body_length > 0 and usage.prompt_tokens > 0:
            name = (key_id, route)
            cached = min(1.0, usage.cached_prompt_tokens / usage.prompt_tokens)
            self._shapes[name] = PromptShape(usage.prompt_tokens / body_length, cached)
            self._shapes.move_to_end(name)
            if len(self._shapes) > MOST_SHAPES:
                self._shapes.popitem(last=False)
        if len(self._outputs) < MOST_SHAPES or route in self._outputs:
            self._outputs.setdefault(route, deque(maxlen=REMEMBERED_OUTPUTS)).append(usage.completion_tokens // choices)

    def shape(self, key_id: str, route: str) -> PromptShape | None:
        """What the key's last prompt to that route came to."""
        return self._shapes.get((key_id, route))

    def likely_output(self, route: str) -> int | None:
        """Nineteen of twenty late answers were not longer; None while there are too few to tell."""
        seen = self._outputs.get(route)
        if seen is None or len(seen) < LEAST_OUTPUTS:
            return None
        return sorted(seen)[-(-len(seen) * (TWENTIETH - 1) // TWENTIETH) - 1]
