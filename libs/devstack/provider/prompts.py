"""What a prompt costs and which answer it gets: both are functions of its text alone."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from devstack.provider.requests import ChatRequest, Message
from devstack.provider.tokens import count_tokens

TOKENS_PER_MESSAGE: Final = 3
TOKENS_PER_ANSWER_START: Final = 3
TOKENS_PER_ATTACHMENT: Final = 85  # an image, a sound, a file


@dataclass(frozen=True, slots=True)
class Prompt:
    """`seed` decides the answer; two prompts with the same texts and model have the same."""

    tokens: int
    seed: bytes


def chat_prompt(request: ChatRequest) -> Prompt:
    tokens = TOKENS_PER_ANSWER_START
    digest = hashlib.sha256(request.model.encode())
    for message in request.messages:
        tokens += TOKENS_PER_MESSAGE + TOKENS_PER_ATTACHMENT * _attachments(message)
        digest.update(b"\x00" + message.role.encode())
        for text in _texts(message):
            tokens += count_tokens(text)
            digest.update(b"\x01" + text.encode())
    tokens += count_tokens(bytes(request.tools).decode())
    return Prompt(tokens, digest.digest())


def text_prompt(model: str, prompt: str | list[int]) -> Prompt:
    """A prompt of a text completion; token ids count one each."""
    if isinstance(prompt, str):
        return Prompt(count_tokens(prompt), _seed(model, prompt))
    return Prompt(len(prompt), _seed(model, repr(prompt)))


def split_inputs(inputs: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """One text, one list of token ids, or many of either: always many."""
    if isinstance(inputs, str):
        return [inputs]
    token_ids = [part for part in inputs if isinstance(part, int)]
    many = [part for part in inputs if not isinstance(part, int)]
    return [*many, token_ids] if token_ids else many


def asks_for_tool(messages: list[Message]) -> bool:
    """Whether the conversation ends with a user who says so; after a tool's result the answer is text again."""
    last = messages[-1]
    return last.role == "user" and any("call the tool" in text.lower() for text in _texts(last))


def _texts(message: Message) -> Iterator[str]:
    if isinstance(message.content, str):
        yield message.content
    elif message.content:
        yield from (part.text for part in message.content if part.text)
    if message.name:
        yield message.name
    for call in message.tool_calls or ():
        yield call.function.name
        yield call.function.arguments


def _attachments(message: Message) -> int:
    if message.content is None or isinstance(message.content, str):
        return 0
    return sum(1 for part in message.content if part.text is None)


def _seed(model: str, text: str) -> bytes:
    return hashlib.sha256(f"{model}\x00{text}".encode()).digest()
