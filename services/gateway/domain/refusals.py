"""Every way in which the gateway refuses or fails a request: status, stable code, OpenAI's error type."""

from typing import Any

from common.contracts.events import INSUFFICIENT_QUOTA


class Refusal(Exception):
    """An expected refusal. `param` names the offending field, `members` go into the error object, `headers` into the answer's.

    `request_id` is that of the settled request, where one had begun. `is_final`: the same request is refused whenever it is sent
    again, which its status does not say.
    """

    status = 500
    code = "internal_error"
    type = "server_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code
        self.retry_after = retry_after
        self.members = members
        self.headers: list[tuple[bytes, bytes]] = []
        self.request_id: str | None = None
        self.is_final = False


class InvalidKey(Refusal):
    """Missing, malformed, unknown, revoked, expired or suspended: one answer for every cause."""

    status, code, type = 401, "invalid_api_key", "invalid_request_error"


class AddressNotAllowed(Refusal):
    """The key is right, but it may not be used from where the request came."""

    status, code, type = 403, "ip_not_allowed", "invalid_request_error"


class InsufficientPermissions(Refusal):
    """The key is right, but it may not use this endpoint."""

    status, code, type = 403, "insufficient_permissions", "invalid_request_error"


class BadRequest(Refusal):
    """The body cannot be understood or asks for what cannot be had."""

    status, code, type = 400, "invalid_request", "invalid_request_error"


class BodyTooLarge(Refusal):
    """The body is longer than the gateway accepts."""

    status, code, type = 413, "request_too_large", "invalid_request_error"


class ModelNotFound(Refusal):
    """No such model, or not for this key."""

    status, code, type = 404, "model_not_found", "invalid_request_error"


class RouteNotFound(Refusal):
    """No such endpoint."""

    status, code, type = 404, "unknown_url", "invalid_request_error"


class MethodNotAllowed(Refusal):
    """The endpoint is there, the method is not."""

    status, code, type = 405, "method_not_allowed", "invalid_request_error"


class QuotaExceeded(Refusal):
    """The budget does not cover what this request may cost."""

    status, code, type = 429, INSUFFICIENT_QUOTA, "insufficient_quota"


class RateLimited(Refusal):
    """More requests or tokens in a minute, or at the same time, than a limit allows."""

    status, code, type = 429, "rate_limit_exceeded", "requests"


class RequestNotFound(Refusal):
    """No such request has been booked for this project."""

    status, code, type = 404, "request_not_found", "invalid_request_error"


class ExplanationUnavailable(Refusal):
    """Whoever keeps the records cannot be asked."""

    status, code, type = 503, "explanation_unavailable", "server_error"


class BudgetUnavailable(Refusal):
    """The budget authority could not be asked and the granted amount is spent; the project's policy is closed."""

    status, code, type = 503, "budget_unavailable", "server_error"


class DirectoryUnavailable(Refusal):
    """The gateway's view of the keys is missing, incomplete or too old to decide."""

    status, code, type = 503, "directory_unavailable", "server_error"


class SpoolFull(Refusal):
    """The request could not be recorded, so it is not made."""

    status, code, type = 503, "spool_full", "server_error"


class ShuttingDown(Refusal):
    """This gateway is being stopped."""

    status, code, type = 503, "shutting_down", "server_error"


class UpstreamUnavailable(Refusal):
    """No upstream of the tier could be reached."""

    status, code, type = 503, "upstream_unavailable", "server_error"


class UpstreamRateLimited(Refusal):
    """Every upstream of the tier answers that it is asked too often."""

    status, code, type = 503, "upstream_rate_limited", "server_error"


class UpstreamFailed(Refusal):
    """An upstream answered with an error or with nonsense."""

    status, code, type = 502, "upstream_error", "server_error"


class UpstreamTimeout(Refusal):
    """An upstream did not answer in time."""

    status, code, type = 504, "upstream_timeout", "server_error"
