"""Usage as the provider reports it, zero included; everything else of an answer is left undecoded."""

from typing import Final

import msgspec

from common.contracts.events import Usage

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Counts(msgspec.Struct):
    """OpenAI's `usage` object, with the names of its newer API and of Anthropic's besides."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _PromptDetails | None = None
    output_tokens_details: _CompletionDetails | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Cost(msgspec.Struct):
    cost: float | None = None


class _Answer(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_Answer).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode
_decode_cost = msgspec.json.Decoder(_Cost).decode


class MalformedAnswer(Exception):
    """The answer is not a JSON object."""


def usage_of(body: bytes) -> Usage | None:
    """The usage of a whole answer, None if it reports none. Raises MalformedAnswer."""
    try:
        block = _decode(body).usage
    except _UNREADABLE:
        raise MalformedAnswer from None
    return to_usage(block)


def to_usage(block: msgspec.Raw) -> Usage | None:
    """The event's shape of a usage block, None for one that does not say what was read and written: a count is missing and
    cannot be told from the total, is no whole number, or is below zero.
    """
    try:
        counts = _decode_counts(block)
    except _UNREADABLE:
        return None
    prompt, completion = _both(counts)
    if prompt is None or completion is None or min(prompt, completion) < 0:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_prompt_tokens=max(0, _cached(counts)),
        reasoning_tokens=max(0, _reasoning(counts)),
    )


def cost_of(block: msgspec.Raw) -> float | None:
    """What LiteLLM adds to a usage block: its own cost, in US dollars."""
    try:
        return _decode_cost(block).cost
    except _UNREADABLE:
        return None


def _both(counts: _Counts) -> tuple[int | None, int | None]:
    """Prompt and completion; where one is missing, what the other leaves of the total."""
    prompt = _under_either(counts.prompt_tokens, _input(counts))
    completion = _under_either(counts.completion_tokens, counts.output_tokens)
    if counts.total_tokens is not None:
        if completion is None and prompt is not None:
            completion = counts.total_tokens - prompt
        elif prompt is None and completion is not None:
            prompt = counts.total_tokens - completion
        elif prompt is not None and completion is not None:
            completion += _beside(counts.total_tokens - prompt - completion, counts)
    return prompt, completion


def _beside(more: int, counts: _Counts) -> int:
    """Some (xAI, proxies before Gemini) bill reasoning beside the completion: then it is exactly what the total is more than both. Gemini's
    own endpoint tells of it in the total alone.
    """
    if counts.completion_tokens_details is None and counts.output_tokens_details is None:
        return max(0, more)
    return more if more == _reasoning(counts) > 0 else 0


def _under_either(first: int | None, second: int | None) -> int | None:
    """Some send both names and fill in one."""
    return second if not first and second is not None else first


def _input(counts: _Counts) -> int | None:
    """Anthropic counts what was read from its cache, and written to it, apart from the input."""
    if counts.input_tokens is None or counts.input_tokens_details is not None:
        return counts.input_tokens
    apart = (counts.cache_read_input_tokens, counts.cache_creation_input_tokens)
    return counts.input_tokens + sum(max(0, tokens or 0) for tokens in apart)


def _cached(counts: _Counts) -> int:
    details = counts.prompt_tokens_details or counts.input_tokens_details
    if details is not None:
        return details.cached_tokens or 0
    return 0 if counts.prompt_tokens else counts.cache_read_input_tokens or 0


def _reasoning(counts: _Counts) -> int:
    details = counts.completion_tokens_details or counts.output_tokens_details
    return 0 if details is None else details.reasoning_tokens or 0
