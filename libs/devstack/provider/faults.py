"""What can be made to go wrong, and how a request asks for it.

Header `x-sim-fault: cut:3` (it wins) or model `sim-fault-cut.3`; `first:N:` in front limits a fault to the first N calls that
carry the same x-request-id.
"""

from dataclasses import dataclass
from typing import Final

from devstack.provider.refusals import Refusal, bad_request

MODEL_PREFIX: Final = "sim-fault-"

# Each fault with what its number means and the number it has when none is given (None: it takes no number).
DEFAULT_NUMBERS: Final[dict[str, int | None]] = {
    "429": 1,  # Retry-After in seconds
    "500": None,
    "503": None,
    "status": 502,  # of an error answer
    "filtered": None,  # Azure's 400 when its content filter refuses a prompt, which it bills
    "lost": None,  # LiteLLM's 500 when the provider's answer broke off
    "hang": None,
    "slow-first-token": 1000,  # milliseconds before the first token
    "slow": 50,  # milliseconds per token
    "cut": 3,  # chunks before the connection is closed
    "no-done": None,
    "malformed": None,
    "missing-usage": None,
    "zero-usage": None,
    "empty-usage": None,
    "wrong-type": None,
    "big-error": None,
    "split": None,
    "empty": None,
}
ERROR_STATUS: Final = range(400, 600)
LARGEST_NUMBER: Final = 3_600_000
BIG_ERROR_BYTES: Final = 10 * 1024 * 1024
FILTERED: Final = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
LOST: Final = "litellm.InternalServerError: InternalServerError: OpenAIException - Connection error."


@dataclass(frozen=True, slots=True)
class Fault:
    """`first` is the number of calls it applies to, None meaning all; `number` is 0 for faults that take none."""

    name: str = ""
    number: int = 0
    first: int | None = None


NO_FAULT: Final = Fault()


def requested_fault(header: str | None, model: str) -> Fault:
    """Raises a 400 refusal for a fault that does not exist."""
    if header is not None:
        return parse_fault(header.strip())
    if model.startswith(MODEL_PREFIX):
        return parse_fault(model.removeprefix(MODEL_PREFIX).replace(".", ":"))
    return NO_FAULT


def parse_fault(text: str) -> Fault:
    parts = text.split(":")
    first = None
    if parts[0] == "first" and len(parts) >= 3:
        first = _number(parts[1], text)
        parts = parts[2:]
    name, *numbers = parts
    if name not in DEFAULT_NUMBERS or len(numbers) > 1:
        raise _unknown(text)
    default = DEFAULT_NUMBERS[name]
    if not numbers:
        return Fault(name, default or 0, first)
    if default is None:
        raise _unknown(text)
    number = _number(numbers[0], text)
    if name == "status" and number not in ERROR_STATUS:
        raise _unknown(text)
    return Fault(name, number, first)


def refusal_of(fault: Fault) -> Refusal | None:
    """The error answer of faults that are one, None for the others."""
    if fault.name == "429":
        headers = ((b"retry-after", str(fault.number).encode()),)
        return Refusal(429, "Rate limit reached.", kind="requests", code="rate_limit_exceeded", headers=headers)
    if fault.name == "500":
        return Refusal(500, "The server had an error while processing your request.", kind="server_error")
    if fault.name == "status":
        return Refusal(fault.number, "Something between us and the model.", kind="server_error")
    if fault.name == "filtered":
        return Refusal(400, FILTERED, kind=None, code="content_filter", param="prompt", billed=True)
    if fault.name == "lost":
        return Refusal(500, LOST, kind="internal_server_error", code="500")
    if fault.name == "503":
        return Refusal(503, "The engine is currently overloaded, please try again later.", kind="server_error")
    if fault.name == "big-error":
        return Refusal(500, "x" * BIG_ERROR_BYTES, kind="server_error")
    return None


def _number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9 or int(digits) > LARGEST_NUMBER:
        raise _unknown(text)
    return int(digits)


def _unknown(text: str) -> Refusal:
    return bad_request(f"Unknown simulated fault {text[:80]!r}; known are: {', '.join(DEFAULT_NUMBERS)}.")
