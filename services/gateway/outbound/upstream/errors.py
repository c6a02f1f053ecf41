"""What can go wrong between the gateway and an upstream: one error, a closed list of kinds."""

from enum import StrEnum


class FailureKind(StrEnum):
    """Stable names: they are written to events, metrics and logs."""

    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    CUT = "cut"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"
    POOL_FULL = "pool_full"


class UpstreamError(Exception):
    """An exchange that did not end properly.

    `sent` is False only if the upstream certainly never saw a complete request, so that nothing can have been billed
    and the request may be tried elsewhere without a second thought. The text never holds header values or bodies.
    """

    def __init__(self, kind: FailureKind, detail: str, *, sent: bool) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.sent = sent
