"""What the name of a model tells: its family's tokenizer, and the field by which its output is capped.

By OpenAI's own table of models and encodings, as in its library tiktoken, and by its API reference: reasoning models refuse
`max_tokens`.
"""

import re

_O200K = re.compile(r"(?:gpt-(?:4o|4\.1|4\.5|5)|chatgpt-4o|o[134](?:-|$))")
_CL100K = re.compile(r"(?:gpt-4(?:-|$)|gpt-3\.5|gpt-35|text-embedding-)")
_REASONING = re.compile(r"(?:o[134](?:-|$)|gpt-5)")


def family_of(model: str) -> str:
    """o200k_base | cl100k_base, or "" where the tokenizer is not known. Names may begin with a provider's, as LiteLLM writes them."""
    name = model.rpartition("/")[2].removeprefix("ft:")
    return "o200k_base" if _O200K.match(name) else "cl100k_base" if _CL100K.match(name) else ""


def cap_field_of(model: str) -> str:
    """`max_completion_tokens` for models that take nothing else, `max_tokens` for all others."""
    return "max_completion_tokens" if _REASONING.match(model.rpartition("/")[2].removeprefix("ft:")) else "max_tokens"
