"""One request on its way through the gateway: everything known of it until it is settled."""

from common.contracts.events import Attempt
from gateway.domain.budget import Hold
from gateway.domain.calendar import LocalDay
from gateway.domain.caller import Caller
from gateway.domain.chat_request import ChatRequest, Fields
from gateway.domain.estimate import Estimate
from gateway.domain.routing import Candidate, Route


class Run:
    """Mutable, owned by one request. `began` and `not_before` (when an upstream wants to be asked again) are monotonic
    seconds, `admitted_at` Unix milliseconds; `plan` says whom to call, attempt by attempt.
    """

    __slots__ = (
        "admitted_at",
        "attempts",
        "began",
        "cache_key",
        "caller",
        "candidate",
        "day",
        "endpoint",
        "estimate",
        "event_id",
        "fields",
        "hold",
        "limited",
        "not_before",
        "plan",
        "request",
        "route",
        "settled",
        "ttft_us",
    )

    def __init__(
        self,
        *,
        event_id: str,
        caller: Caller,
        endpoint: str,
        request: ChatRequest,
        fields: Fields,
        route: Route,
        estimate: Estimate,
        day: LocalDay,
        admitted_at: int,
        began: float,
    ) -> None:
        self.event_id = event_id
        self.caller = caller
        self.endpoint = endpoint
        self.request = request
        self.fields = fields
        self.route = route
        self.estimate = estimate
        self.day = day
        self.admitted_at = admitted_at
        self.began = began
        self.hold = Hold(())
        self.limited = False
        self.attempts: list[Attempt] = []
        self.plan: list[Candidate] = []
        self.not_before: dict[Candidate, float] = {}
        self.candidate: Candidate | None = None
        self.cache_key: str | None = None
        self.ttft_us: int | None = None
        self.settled = False
