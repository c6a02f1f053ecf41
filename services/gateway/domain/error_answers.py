"""What an upstream's error answer says about the bill: whether the model may have been at work all the same."""

import re
from typing import Final

from gateway.domain.attempts import Fate

UNKNOWN_FATE_STATUS: Final = frozenset({408, 502, 504, 520, 524})
"""Answered by something between us and the model, after it had passed the request on: the model may have been at work and may bill.

520 and 524 are Cloudflare's: the origin's answer was none, or did not come in time. Its others (521, 522, 523, 525, 526, 530) say
that the origin was never reached.
"""

_LOST: Final = re.compile(
    rb"APIConnectionError|connection error|server disconnected|connection reset|connection termination|peer closed connection"
    rb"|payload is not completed|expecting value: line|unable to get json response|empty or invalid response from LLM",
    re.IGNORECASE,
)
"""How proxies word it when the model's answer broke off, never came or could not be read, and make a 500 (LiteLLM) or 503 (Envoy) of it.

LiteLLM passes on what its client says: OpenAI's ("Connection error.", the same when nobody answered the call at all), aiohttp's or
httpx's; its own class for what has no status is APIConnectionError.
"""

_NEVER_REACHED: Final = re.compile(rb'\s*\{"error":\s*\{"message":\s*"litellm\.[\w:. ]{1,100} - Cannot connect to host ')
"""Only at the start: behind it stands what others have written."""

_FILTERED: Final = re.compile(
    rb'"code"\s*:\s*"(?:content_filter|content_policy_violation|ResponsibleAIPolicyViolation)"'
    rb'|"message"\s*:\s*"litellm\.[\w.: ]{0,100}ContentPolicyViolationError'
    rb'|"message"\s*:\s*"(?:litellm\.[\w.: ]{1,100} - )?(?:\{\\"error\\":\s*\{\\"message\\":\s*\\")?'
    rb"The response was filtered due to the prompt triggering",
    re.IGNORECASE,
)
"""How Azure says that its content filter has refused a prompt, in `code` or `innererror.code`, and what LiteLLM leaves of it: the code of
an `azure/` deployment, of an `openai/` one the words alone. A quote of the client's text has its quotation marks escaped, or is not at
the start.
"""

_LOOKED_AT: Final = 8 * 1024


def fate_of(status: int, body: bytes) -> Fate:
    """Providers do not bill what they answer with an error, but for prompts that a content filter has read; what an error of something
    between us and them hides, is not known.
    """
    if status in UNKNOWN_FATE_STATUS or (status == 400 and _FILTERED.search(body, 0, _LOOKED_AT)):
        return "unknown"
    lost = status >= 500 and _LOST.search(body, 0, _LOOKED_AT) and not _NEVER_REACHED.match(body)
    return "unknown" if lost else "unbilled"
