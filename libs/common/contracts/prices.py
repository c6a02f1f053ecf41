"""The price book: rates per model in integer nano-USD per million tokens, dated and sourced in price_book.json beside this file.

The gateway prices once, at settlement; usage verifies with the same book version. A model that is not listed is unpriced, never free.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path

import msgspec

from common.contracts.events import Usage

TOKENS_PER_RATE = 1_000_000
NANOUSD_PER_USD = 1_000_000_000

IMAGE_TOKENS = 50_000
"""Of one image to a model whose table is not known: more than any table that we know counts."""


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of one model, and the bounds that a safe estimate needs.

    `image_tokens` bounds what one inlined image may count as prompt; `max_output_tokens` is the model's own ceiling.
    """

    input: int
    output: int
    effective_from: str
    source: str
    cached_input: int | None = None
    max_output_tokens: int = 16_384
    image_tokens: int = IMAGE_TOKENS

    def cost(self, usage: Usage) -> int:
        """Nano-USD for an attempt's usage, rounded up once."""
        cached = min(usage.cached_prompt_tokens, usage.prompt_tokens)
        cached_rate = self.input if self.cached_input is None else self.cached_input
        total = (usage.prompt_tokens - cached) * self.input + cached * cached_rate + usage.completion_tokens * self.output
        return -(-total // TOKENS_PER_RATE)

    def bound(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The most that so many tokens can cost, nano-USD: the prompt at its dearest rate."""
        rate = max(self.input, self.cached_input or 0)
        return -(-(prompt_tokens * rate + completion_tokens * self.output) // TOKENS_PER_RATE)


class PriceBook(msgspec.Struct, frozen=True, kw_only=True):
    """All rates of one version (a date). Bounds may change within it: nothing is charged by them."""

    version: str
    models: dict[str, ModelPrice]

    def find(self, model: str) -> ModelPrice | None:
        """The price of a model by its exact name, or None: then the cost is unknown, not zero."""
        return self.models.get(model)

    def dearest(self) -> ModelPrice:
        """Rates that no model of the book passes: what a model without a price is charged, where it is to be charged at all."""
        return dearest_of(self.models.values(), self.version)


def dearest_of(prices: Collection[ModelPrice], version: str) -> ModelPrice:
    """Rates that none of the prices passes, rate by rate; for models of which nothing is known, so their images count by no known table."""
    return ModelPrice(
        input=max(max(price.input, price.cached_input or 0) for price in prices),
        output=max(price.output for price in prices),
        effective_from=version,
        source="the dearest of several",
        max_output_tokens=max(price.max_output_tokens for price in prices),
        image_tokens=max(IMAGE_TOKENS, *(price.image_tokens for price in prices)),
    )


@cache
def built_in_book() -> PriceBook:
    """The price book that ships with this release; raises msgspec.ValidationError if the file is damaged."""
    return read_book(Path(__file__).with_name("price_book.json"))


def read_book(path: Path) -> PriceBook:
    """A price book from a file of the same shape; raises OSError or msgspec.ValidationError."""
    return msgspec.json.decode(path.read_bytes(), type=PriceBook)
