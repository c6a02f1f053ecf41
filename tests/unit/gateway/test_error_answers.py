"""Which error answers may hide an answer that is billed: those of whatever stands between us and the model, not the model's own."""

import json
from typing import Any

import pytest

from gateway.domain.error_answers import fate_of

FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt …"
)
OPENAI = "litellm.InternalServerError: InternalServerError: OpenAIException - "
NO_FALLBACK = "\n\nLiteLLM: model group 'fast' failed with the error above. No fallback was attempted."


def litellm(message: str, status: str = "500", **fields: Any) -> bytes:
    """The body of its error, as it was seen on the wire."""
    error = {"message": message + NO_FALLBACK, "type": "internal_server_error", "param": None, "code": status, **fields}
    return json.dumps({"error": error}, separators=(",", ":")).encode()


def azure(code: str, message: str = FILTERED, **inner: Any) -> dict[str, Any]:
    """The body of its 400."""
    return {"error": {"message": message, "type": None, "param": "prompt", "code": code, "status": 400, **inner}}


@pytest.mark.parametrize("status", [408, 502, 504, 520, 524])
def test_a_status_of_something_in_between_is_of_unknown_fate(status: int) -> None:
    """It had passed the request on; whatever it says about it."""
    assert fate_of(status, b"") == fate_of(status, litellm(OPENAI + "boom")) == "unknown"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 501, 503, 521, 522, 523, 525, 526, 529, 530])
def test_an_error_of_the_provider_is_free(status: int) -> None:
    """And so is what never reached it."""
    assert fate_of(status, b'{"error": {"message": "The server had an error while processing your request."}}') == "unbilled"


@pytest.mark.parametrize(
    "message",
    [
        OPENAI + "Connection error.",
        OPENAI + "Expecting value: line 1 column 1 (char 0)",
        OPENAI + "Empty or invalid response from LLM endpoint. Received: 'data: …'",
        "litellm.APIConnectionError: APIConnectionError: OpenAIException - Response payload is not completed: <TransferEncodingError: 400>",
        "litellm.APIConnectionError: APIConnectionError: OpenrouterException - Server disconnected",
        "litellm.APIConnectionError: GeminiException - ",
        "litellm.InternalServerError: AnthropicException - Server disconnected. Handle with `litellm.InternalServerError`.",
        "litellm.InternalServerError: AnthropicException - [Errno 104] Connection reset by peer. Handle with …",
        "litellm.InternalServerError: AnthropicException - peer closed connection without sending complete message body",
        OPENAI + 'Unable to get json response, Original Response: {"error":{"message":"litellm.X: Y - Cannot connect to host ',
        "Server disconnected",
    ],
)
def test_a_500_that_says_an_answer_was_lost_is_of_unknown_fate(message: str) -> None:
    """LiteLLM has no other status for it."""
    assert fate_of(500, litellm(message)) == "unknown"


@pytest.mark.parametrize(
    "message",
    [
        OPENAI + "boom",
        OPENAI + "The server had an error while processing your request. Sorry about that!",
        'litellm.InternalServerError: AnthropicException - b\'{"error":{"message":"Overloaded"}}\'. Handle with …',
        'litellm.APIError: APIError: OpenrouterException - {"error":{"message":"boom"}}',
        "litellm.InternalServerError: AnthropicException - Cannot connect to host REDACTED:443 ssl:<ssl.SSLContext> [Connect call failed]",
        "litellm.APIConnectionError: GeminiException - Cannot connect to host REDACTED:443 ssl:<ssl.SSLContext> [Connect call failed]",
        "litellm.APIConnectionError: APIConnectionError: OpenrouterException - Cannot connect to host REDACTED:443 ssl:default",
    ],
)
def test_a_500_of_the_provider_and_a_call_that_nobody_took_are_free(message: str) -> None:
    """An outage does not use up a budget."""
    assert fate_of(500, litellm(message)) == "unbilled"


def test_an_answer_that_envoy_lost_is_of_unknown_fate() -> None:
    """Its 503 has both; the connection that could not be made is free."""
    start = b"upstream connect error or disconnect/reset before headers. reset reason: "
    assert fate_of(503, start + b"connection termination") == "unknown"
    assert fate_of(503, start + b"connection failure") == "unbilled"


def test_a_refusal_of_the_request_is_free_whatever_it_quotes() -> None:
    """The client's words stand in it."""
    assert fate_of(400, b'{"error": {"message": "Invalid value: \'Connection error.\'"}}') == "unbilled"


POLICY = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True, "severity": "high"}}}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(azure("content_filter", innererror=POLICY)),
        json.dumps(azure("content_filter"), indent=2),
        json.dumps(azure("content_policy_violation", "Your request was rejected as a result of our safety system.")),
        json.dumps(azure("invalid_request_error", "Refused.", inner_error=POLICY)),
        json.dumps({"error": {"code": "400", "message": FILTERED}}),
        litellm(
            f"litellm.BadRequestError: litellm.ContentPolicyViolationError: {FILTERED}",
            "400",
            provider_specific_fields={"innererror": None, "azure_error": azure("content_filter")["error"]},
        ).decode(),
        litellm(f"litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - {FILTERED}", "400").decode(),
        litellm(f"litellm.BadRequestError: OpenAIException - {FILTERED}", "400").decode(),
        litellm("litellm.BadRequestError: OpenrouterException - " + json.dumps(azure("content_filter")), "400").decode(),
    ],
)
def test_a_prompt_that_a_content_filter_has_read_may_be_billed(body: str) -> None:
    """Azure bills those; as it says so itself, and as LiteLLM passes it on. Its other answers are free, whatever they say."""
    assert fate_of(400, body.encode()) == "unknown"
    assert fate_of(422, body.encode()) == fate_of(500, body.encode()) == "unbilled"


@pytest.mark.parametrize(
    "quoted", [json.dumps(azure("content_filter", innererror=POLICY)), "content_filter", "ContentPolicyViolationError", FILTERED]
)
def test_a_refusal_that_quotes_a_content_filter_is_free(quoted: str) -> None:
    """The client's words stand in it, not the provider's."""
    quoting = {"error": {"message": f"Invalid value: '{quoted}'", "type": "invalid_request_error", "code": "invalid_value"}}
    assert fate_of(400, json.dumps(quoting).encode()) == "unbilled"
    assert fate_of(400, litellm(f"litellm.BadRequestError: OpenAIException - Invalid value: '{quoted}'", "400")) == "unbilled"
