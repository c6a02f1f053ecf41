"""What the small `/v1` routes answer, field by field: for OpenAPI only, and held against the real answers by tests."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from common.contracts.directory import Enforcement

Fits = Literal["yes", "if others return", "unknown", "no"]


class RateLimit(BaseModel):
    """A limit per minute or on concurrency."""

    limit_source: str = Field(description="Its name in refusals.", examples=["project.requests_per_minute"])
    scope: str
    scope_id: str
    enforcement: Enforcement
    limit: int
    used: int = Field(description="Here, in the last 60 seconds; of concurrency: under way.")
    held: int = Field(description="By other gateways, used or kept ready.")
    headroom: int
    resets_in_seconds: float = Field(description="Until there is room for one more; 0 while there is some.")


class HeldHere(BaseModel):
    """Since this process began; granted: null where the unit has no limit."""

    settled_tokens: int
    settled_nanousd: int
    held_tokens: int
    held_nanousd: int
    granted_tokens: int | None
    granted_nanousd: int | None


class Quota(BaseModel):
    """A budget."""

    object: Literal["quota"]
    scope: str
    scope_id: str
    period: str = Field(description="A month or a day.", examples=["2026-11", "2026-11-27"])
    enforcement: Enforcement
    resets_at: str
    limit_tokens: int | None
    limit_nanousd: int | None
    used_tokens: int | None = Field(description="Booked; null before this process has heard of it.")
    used_nanousd: int | None
    as_of: int | None = Field(description="When that was so, Unix milliseconds.")
    this_gateway: HeldHere


class OverspendBound(BaseModel):
    """By how much the mode of the key's project lets budgets be overspent at the most."""

    mode: str
    per_request_tokens: int
    per_request_nanousd: int
    requests_at_once: int
    tokens: int
    nanousd: int
    besides: str | None = Field(description="What comes on top of it.")


class QuotaAnswer(BaseModel):
    """The project's month first, with limits or not; then everything that has one."""

    object: Literal["list"]
    data: list[Quota]
    rate_limits: list[RateLimit]
    overspend_bound: OverspendBound


class BudgetFit(BaseModel):
    """A budget, and whether the request fits into it."""

    limit_source: str = Field(description="Of its two units the tighter one.", examples=["project.monthly_cost"])
    scope: str
    scope_id: str
    period: str
    resets_at: str
    enforcement: Enforcement
    limit_tokens: int | None
    limit_nanousd: int | None
    used_tokens: int | None = Field(description="Booked, by the last answer of usage.")
    used_nanousd: int | None
    headroom_tokens: int | None = Field(description="Granted here and free, and what nobody holds.")
    headroom_nanousd: int | None
    fits: Fits


class RateFit(RateLimit):
    """A limit per minute or on concurrency, and whether the request fits into it."""

    needed: int
    fits: Fits


class PriceRange(BaseModel):
    """Nano-USD."""

    least_nanousd: int = Field(description="The cheapest model, one token of output.")
    most_nanousd: int = Field(description="The dearest, with its whole cap.")


class EstimateAnswer(BaseModel):
    """What the request would need, and whether it would be let in."""

    object: Literal["estimate"]
    tier: str | None = Field(description="null where a model was asked for.")
    tier_signal: str = Field(description="What chose it.")
    models: list[str] = Field(description="Those that may answer, in their order.")
    budget_mode: Literal["strict", "sliced", "expected"] | None = Field(description="null: nothing limits tokens or money.")
    counted_by: Literal["bytes", "learned", "tokenizer", "length"]
    prompt_tokens: int = Field(description="As it is counted, not as it will be billed.")
    output_cap: int = Field(description="Of each choice.")
    held_tokens: int
    held_nanousd: int
    price: PriceRange | None = Field(description="null where one of the models has none.")
    limits: list[BudgetFit | RateFit]
    verdict: Literal["admitted", "contended", "refused", "unbounded", "unknown"]
    refused_by: list[str] | None = Field(description="The limits, or the fields, behind any verdict but `admitted`.")


class HeldBudget(BaseModel):
    """What it held of its budgets, and why as much."""

    mode: Literal["strict", "sliced", "expected"] | None
    counted_against: list[str]
    counted_by: str | None
    prompt_estimate: int
    output_estimate: int
    held_tokens: int
    held_nanousd: int
    slices: int = Field(description="So often its hold has grown.")
    waited_us: int = Field(description="For grants and leases, microseconds.")
    without_grant: str | None = Field(description="The policy that let it pass without one.")


class CountedRates(BaseModel):
    """The limits per minute and on concurrency that it counted against."""

    counted_against: list[str]


class Charged(BaseModel):
    """What was booked, over all attempts."""

    prompt_tokens: int
    completion_tokens: int
    cost_nanousd: int
    usage_source: str = Field(description="provider, estimated or none.")
    cost_status: str = Field(description="exact, estimated or unpriced.")
    saved_tokens: int = Field(description="By the cache.")
    saved_nanousd: int


class ExplanationAnswer(BaseModel):
    """Why a request was answered as it was."""

    object: Literal["explanation"]
    request_id: str
    status: str = Field(description="ok, error, refused, client_closed, upstream_cut or aborted.")
    http_status: int
    error_code: str | None
    admitted_at: int = Field(description="Unix milliseconds.")
    periods: list[str] = Field(description="The day and the month that it was booked to.")
    verdict: str
    refused_by: str | None = Field(description="The limit, or the field.")
    would_refuse: list[str] = Field(description="Limits in shadow mode that would have refused it, or the code for which.")
    tier: str | None
    tier_signal: str
    model: str
    cache: Literal["hit", "miss", "bypass"]
    cache_reason: str
    budget: HeldBudget
    rate_limits: CountedRates
    charged: Charged
    attempts: list[dict[str, Any]] = Field(description="Each call of a provider: model, outcome, usage, cost, times.")
