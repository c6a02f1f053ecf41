"""Messages that a stream takes all or not at all (ADR-50 of NATS): one sync of the disk for all of them."""

import secrets
from collections.abc import Sequence

import msgspec
from nats.aio.client import Client

BATCH_ID = "Nats-Batch-Id"
BATCH_SEQUENCE = "Nats-Batch-Sequence"
BATCH_COMMIT = "Nats-Batch-Commit"

Message = tuple[str, bytes, dict[str, str]]
"""Subject, body and headers."""


class Refused(Exception):
    """The stream took none of them."""


class _Answer(msgspec.Struct):
    error: dict[str, object] | None = None


async def publish_together(client: Client, messages: Sequence[Message], *, timeout: float) -> None:
    """Publish up to 1,000 messages of different subjects; raises Refused, or TimeoutError when nobody knows.

    Headers may carry an expected last sequence of the subject each; one that does not fit refuses all.
    """
    batch, last = secrets.token_hex(16), len(messages)
    for number, (subject, body, headers) in enumerate(messages, 1):
        marks = {**headers, BATCH_ID: batch, BATCH_SEQUENCE: str(number)}
        if number < last:
            await client.publish(subject, body, headers=marks)
            continue
        answer = await client.request(subject, body, timeout=timeout, headers={**marks, BATCH_COMMIT: "1"})
        if msgspec.json.decode(answer.data, type=_Answer).error is not None:
            raise Refused
