"""The book that text answers are read from: sentences without meaning, letters of more than one byte in each."""

from typing import Final

from devstack.provider.tokens import tokenize

_WORDS: Final = (
    "river",
    "lantern",
    "copper",
    "quiet",
    "morning",
    "harbor",
    "winter",
    "signal",
    "paper",
    "window",
    "garden",
    "engine",
    "silver",
    "bridge",
    "market",
    "summer",
    "shadow",
    "thread",
    "compass",
    "kettle",
    "mirror",
    "orchard",
    "pebble",
    "rocket",
    "saddle",
    "timber",
    "velvet",
    "wagon",
    "anchor",
    "basket",
    "candle",
    "desert",
    "ember",
    "forest",
    "glacier",
    "hollow",
    "island",
    "jacket",
)
_ACCENTED: Final = ("café", "naïve", "über", "señor", "東京", "façade", "Ωmega", "žába", "“so”", "🙂 é")
_SENTENCES: Final = 399


def _sentence(number: int) -> str:
    words = [_WORDS[(number * 7 + place * (11 + number % 5)) % len(_WORDS)] for place in range(5 + number % 6)]
    words.insert(2, _ACCENTED[number % len(_ACCENTED)])
    return " ".join(words).capitalize() + ".\n"


def _write_book() -> tuple[list[str], list[int]]:
    book: list[str] = []
    starts: list[int] = []
    for number in range(_SENTENCES):
        starts.append(len(book))
        book.extend(tokenize(_sentence(number)))
    return book, starts


# Each sentence ends with a line break, so its first token is the same wherever the reading starts, and the book can be
# read round and round: a slice of it is the tokenization of its own text.
_BOOK, _STARTS = _write_book()


def read_tokens(seed: bytes, length: int) -> list[str]:
    """Exactly `length` tokens of prose; the first line names the seed, so that different prompts are told apart."""
    tokens = ["Repl", "y", f" {seed[:2].hex()[:3]}", seed[2:4].hex(), seed[4:6].hex(), ".", "\n"]
    missing = length - len(tokens)
    if missing <= 0:
        return tokens[:length]
    start = _STARTS[int.from_bytes(seed[6:10]) % len(_STARTS)]
    shelf = _BOOK[start:]
    while len(shelf) < missing:
        shelf.extend(_BOOK)
    tokens.extend(shelf[:missing])
    return tokens
