"""Which scope of an API key opens which endpoint: every route below the prefix is here, or the gateway does not start."""

from common.contracts.directory import EndpointScope

SCOPES: dict[tuple[str, str], EndpointScope] = {
    ("POST", "/chat/completions"): "chat",
    ("GET", "/models"): "models",
    ("GET", "/quota"): "quota",
    ("POST", "/estimate"): "quota",
    ("GET", "/requests/{request_id}/explain"): "quota",
}
"""By method and path."""
