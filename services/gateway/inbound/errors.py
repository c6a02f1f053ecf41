"""Refusals in OpenAI's shape: `{"error": {message, type, param, code, …}}`; one function renders them all."""

import msgspec

from gateway.domain.refusals import Refusal

Headers = list[tuple[bytes, bytes]]

_encode = msgspec.json.Encoder().encode


def error_body(refusal: Refusal) -> bytes:
    """The JSON body of a refusal."""
    error = {"message": refusal.message, "type": refusal.type, "param": refusal.param, "code": refusal.code}
    return _encode({"error": {**error, **refusal.members}})


def error_event(refusal: Refusal) -> bytes:
    """The last event of a stream that cannot go on."""
    return b"data: " + error_body(refusal) + b"\n\n"


def error_headers(refusal: Refusal, body: bytes, request_id: str) -> Headers:
    """Headers of a refusal: length, request id, where limits per minute stand, Retry-After, or that trying again is in vain
    (OpenAI's clients try a 429 again by themselves, but for that header), the challenge of a 401.
    """
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *refusal.headers,
    ]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after))
    if refusal.is_final:
        headers.append((b"x-should-retry", b"false"))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers
