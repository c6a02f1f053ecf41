"""Which requests may be answered from the response cache, and under what key."""

import hashlib

import msgspec

from gateway.domain.chat_request import ChatRequest, Fields

_IRRELEVANT = frozenset({"user", "metadata", "store", "safety_identifier", "prompt_cache_key"})
"""Fields that do not change the answer's text."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def cacheable(request: ChatRequest) -> bool:
    """Deterministic requests only: temperature 0 said explicitly, one choice."""
    return request.temperature == 0 and (request.n or 1) == 1


def _normal(value: msgspec.Raw) -> object:
    """Equal for values that mean the same; as written where it cannot be read (a number out of range, nesting too deep)."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return bytes(value)


def cache_key(scope_id: str, endpoint: str, route_name: str, request: ChatRequest, fields: Fields) -> str:
    """SHA-256 over scope, endpoint, the model after routing and the normalized payload; never the same for two tenants."""
    normalized = {
        name: _normal(value)
        for name, value in fields.items()
        if name not in _IRRELEVANT and name not in ("model", "stream", "stream_options")
    }
    asked_usage = bool(request.stream and request.stream_options and request.stream_options.include_usage)
    material = _encode([scope_id, endpoint, route_name, bool(request.stream), asked_usage, normalized])
    return f"codexflow:answers:1:{scope_id}:{hashlib.sha256(material).hexdigest()}"
