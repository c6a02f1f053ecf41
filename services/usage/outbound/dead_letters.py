"""The dead letter stream: what can never be booked is kept there with its reason, for people to look at."""

from nats.errors import Error

from common.contracts.subjects import DEAD_LETTERS
from usage.outbound.bus import Bus

HEADER_REASON = "Codexflow-Reason"
HEADER_SUBJECT = "Codexflow-Subject"
HEADER_SEQUENCE = "Codexflow-Sequence"
LONGEST_REASON = 500
PUBLISH_SECONDS = 3.0

UNREACHABLE = (Error, OSError, TimeoutError)
"""What parking a letter may raise: then it has not been parked for certain, and must be tried again."""


async def park(bus: Bus, body: bytes, *, reason: str, subject: str, sequence: int, headers: dict[str, str]) -> None:
    """Returns once the stream has acknowledged the letter; raises one of UNREACHABLE otherwise."""
    printable = "".join(character if character.isprintable() else "?" for character in reason)[:LONGEST_REASON]
    await bus.jetstream.publish(
        DEAD_LETTERS,
        body,
        timeout=PUBLISH_SECONDS,
        headers={
            **{name: value for name, value in headers.items() if name.startswith("Codexflow-")},
            HEADER_REASON: printable.encode("ascii", "replace").decode(),
            HEADER_SUBJECT: subject,
            HEADER_SEQUENCE: str(sequence),
            "Nats-Msg-Id": f"{subject}-{sequence}",
        },
    )
