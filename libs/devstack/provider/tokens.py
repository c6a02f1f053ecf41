"""The provider's tokenizer: small, deterministic, and never more tokens than UTF-8 bytes."""

import re

# Letters and digits (a leading space joins them, as in real vocabularies), punctuation, white space: each in pieces of at
# most four characters. Every character belongs to exactly one class, so nothing is lost.
_PIECE = re.compile(r" \w{1,3}|\w{1,4}|[^\w\s]{1,4}|\s{1,4}")


def tokenize(text: str) -> list[str]:
    """Cut `text` into tokens. Joined they are `text` again, and any first k of them tokenize to themselves."""
    return _PIECE.findall(text)


def count_tokens(text: str) -> int:
    return len(_PIECE.findall(text))
