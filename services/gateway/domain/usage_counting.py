"""Usage as the provider reports it, zero included; everything else of an answer is left undecoded."""

import msgspec

from common.contracts.events import Usage


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class UsageBlock(msgspec.Struct):
    """OpenAI's `usage` object; `cost` is LiteLLM's addition, in US dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Answer(msgspec.Struct):
    usage: UsageBlock | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class MalformedAnswer(Exception):
    """The answer is not a JSON object, or its usage is not one."""


def to_usage(block: UsageBlock) -> Usage:
    """The event's shape of a usage block; negative numbers count as zero."""
    prompt, completion = block.prompt_tokens_details, block.completion_tokens_details
    return Usage(
        prompt_tokens=max(0, block.prompt_tokens),
        completion_tokens=max(0, block.completion_tokens),
        cached_prompt_tokens=max(0, (prompt.cached_tokens or 0) if prompt else 0),
        reasoning_tokens=max(0, (completion.reasoning_tokens or 0) if completion else 0),
    )


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, None if it reports none. Raises MalformedAnswer."""
    try:
        block = _decode(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedAnswer from None
    return None if block is None else to_usage(block)
