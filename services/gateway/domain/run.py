"""One request on its way through the gateway: everything known of it until it is settled."""

from typing import Protocol

from common.contracts.events import Attempt
from common.contracts.prices import ModelPrice
from gateway.domain.budget import Hold
from gateway.domain.caller import Caller
from gateway.domain.chat_request import ChatRequest, Fields
from gateway.domain.estimate import Estimate
from gateway.domain.patience import Patience
from gateway.domain.refusals import Refusal
from gateway.domain.routing import Candidate, Route
from gateway.domain.standing import Standing


class Permit(Protocol):
    """What a request holds of limits per minute and of concurrency."""

    @property
    def would_refuse(self) -> tuple[str, ...]:
        """Limits in shadow mode that would have refused it."""

    @property
    def limit_names(self) -> str:
        """The limits that it counts against, as events carry them."""

    @property
    def tokens(self) -> int:
        """That it counts with."""

    async def take_tokens(self, tokens: int) -> None:
        """Count so many more tokens, waiting for a lease where needed; raises RateLimited."""

    def withdraw(self) -> None:
        """The request was refused before anybody was called: it has used nothing."""

    def settle(self, tokens: int) -> None:
        """Free what it holds, correct the tokens to what they were; once."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Where the limits stand, in OpenAI's names."""

    def header_lines(self) -> bytes:
        """The same as lines."""


LONGEST_NAME = 200
"""Of the field that a refusal blames, where it is recorded: clients make up any."""


class Run:
    """Mutable, owned by one request. `began` and `not_before` (when an upstream wants to be asked again) are monotonic
    seconds, `admitted_at` Unix milliseconds; `plan` says whom to call, attempt by attempt. `limited`: something of it has a limit that
    refuses, so the output cap is enforced. `price`: what stands in for the price of a candidate that has none.
    """

    __slots__ = (
        "admitted_at",
        "attempts",
        "began",
        "body_length",
        "cache_key",
        "cache_reason",
        "caller",
        "candidate",
        "day",
        "end_user",
        "endpoint",
        "estimate",
        "event_id",
        "fields",
        "hold",
        "limit_source",
        "limited",
        "mode",
        "needed",
        "no_grant",
        "not_before",
        "patience",
        "permit",
        "plan",
        "price",
        "request",
        "route",
        "settled",
        "slices",
        "standing",
        "tier_signal",
        "ttft_us",
        "would_refuse",
    )

    def __init__(
        self,
        *,
        event_id: str,
        caller: Caller,
        endpoint: str,
        request: ChatRequest,
        fields: Fields,
        body_length: int,
        route: Route,
        tier_signal: str,
        estimate: Estimate,
        end_user: str | None,
        standing: Standing,
        patience: Patience,
        admitted_at: int,
        began: float,
    ) -> None:
        self.event_id = event_id
        self.caller = caller
        self.endpoint = endpoint
        self.request = request
        self.fields = fields
        self.body_length = body_length
        self.route = route
        self.tier_signal = tier_signal
        self.estimate = estimate
        self.end_user = end_user
        self.standing = standing
        self.day = standing.day
        self.admitted_at = admitted_at
        self.began = began
        self.patience = patience
        self.hold = Hold(standing.accounts, standing.binding)
        self.limited = bool(standing.binding)
        self.mode = standing.mode
        self.price: ModelPrice | None = None
        self.permit: Permit | None = None
        self.limit_source = ""
        self.needed = 0
        self.cache_reason = ""
        self.no_grant = ""
        self.would_refuse: tuple[str, ...] = ()
        self.slices = 0
        self.attempts: list[Attempt] = []
        self.plan: list[Candidate] = []
        self.not_before: dict[Candidate, float] = {}
        self.candidate: Candidate | None = None
        self.cache_key: str | None = None
        self.ttft_us: int | None = None
        self.settled = False

    def refused_by(self, refusal: Refusal) -> None:
        """Remember which limit refuses it, and how much it would have needed of that; or which field."""
        self.limit_source = str(refusal.members.get("limit_source") or refusal.param or "")[:LONGEST_NAME]
        self.needed = int(refusal.members.get("needed", 0))
