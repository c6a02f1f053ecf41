"""What a gateway reports of a request, version 1: JSON, times in Unix milliseconds, durations in microseconds, money in nano-USD.

An envelope is a JSON array of `RequestSettled`, with its boot and numbers in headers (below). Within one boot the events are
numbered densely from 1; the number is the position in the envelope plus `from`.
"""

from typing import Literal

import msgspec

HEADER_GATEWAY = "Codexflow-Gateway"
HEADER_BOOT = "Codexflow-Boot"
HEADER_FROM = "Codexflow-From"
HEADER_TO = "Codexflow-To"
HEADER_CLOSE = "Codexflow-Close"
"""The last number of a boot that has ended; such an envelope may be empty (`from` = `to` + 1)."""

UsageSource = Literal["provider", "estimated", "none"]
CostStatus = Literal["exact", "estimated", "unpriced", "none"]

INSUFFICIENT_QUOTA = "insufficient_quota"
"""The error code of a request that a budget refused, or whose stream it ended; `decision.limit` names the budget."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one attempt; cached prompt tokens are part of the prompt, reasoning tokens part of the completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0


NO_USAGE = Usage()


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of an upstream. `usage_source` none = the upstream certainly charged nothing (refused, never reached).

    `price` names the entry of the price book that was used, where it is not the model's.
    """

    number: int
    upstream: str
    model: str
    outcome: str
    http_status: int | None = None
    usage: Usage = NO_USAGE
    usage_source: UsageSource = "none"
    cost_nanousd: int = 0
    cost_status: CostStatus = "none"
    upstream_cost_nanousd: int | None = None
    latency_us: int = 0
    ttft_us: int | None = None
    price: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was answered as it was, for whoever asks later.

    `mode`: strict | sliced | expected, empty where nothing limits tokens or money. `tier`: what chose the tier, `cache`: why the
    cache answered or did not. `limit`: the limit that refused it (`project.monthly_cost`) or the field (`tools`), `needed`: how much of
    the limit was not to be had (0 = not told), `would_refuse`: the limits that would have, were they enforced, or the code of what they
    could not bound (`unbounded_input`). `estimate`: how the prompt was counted. `waited_us`: for its limits. `slices`: extensions of the
    hold. `no_grant`: the policy that let it pass without a grant. `limits`: what it counted against, a word for each owner, with blanks
    between: budgets with limits (`project.monthly+daily`), limits per minute and on concurrency (`key.rpm+tpm+concurrency`;
    `key.requests_per_minute` is read as well).
    """

    mode: str = ""
    tier: str = ""
    cache: str = ""
    limit: str = ""
    would_refuse: tuple[str, ...] = ()
    estimate: str = ""
    prompt_estimate: int = 0
    output_estimate: int = 0
    waited_us: int = 0
    slices: int = 0
    no_grant: str = ""
    limits: str = ""
    needed: int = 0


NO_DECISION = Decision()


class RequestSettled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request, settled: the sums over its attempts, priced once with `price_version`; usage stores, it does not re-price.

    status: ok | error (no answer could be had) | refused (budget) | client_closed | upstream_cut | aborted (gateway died).
    The hold is what was reserved in the end, over all attempts; a cache hit costs 0 and keeps what it saved apart.
    `end_user_counted`: the end user has limits, so the ledger keeps an account of that end user.
    """

    event_id: str
    request_id: str
    gateway: str
    boot: str
    organization_id: str
    project_id: str
    key_id: str
    endpoint: str
    model_requested: str
    status: Literal["ok", "error", "refused", "client_closed", "upstream_cut", "aborted"]
    http_status: int
    admitted_at: int
    finished_at: int
    period_day: str
    period_month: str
    model: str = ""
    tier: str = ""
    stream: bool = False
    cache: Literal["hit", "miss", "bypass"] = "bypass"
    error_code: str | None = None
    owner_id: str | None = None
    end_user: str | None = None
    tags: dict[str, str] = {}
    latency_us: int = 0
    ttft_us: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    usage_source: UsageSource = "none"
    cost_nanousd: int = 0
    cost_status: CostStatus = "none"
    upstream_cost_nanousd: int | None = None
    price_version: str = ""
    hold_tokens: int = 0
    hold_nanousd: int = 0
    saved_tokens: int = 0
    saved_nanousd: int = 0
    attempts: tuple[Attempt, ...] = ()
    end_user_counted: bool = False
    decision: Decision = NO_DECISION


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """Every event of the boot up to and including `contiguous` is committed by usage."""

    boot: str
    contiguous: int
    closed: bool = False


class QuotaState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scope stands in a period, recomputed from the ledger: for headers, alerts and dashboards, not for admission."""

    scope: str
    scope_id: str
    period: str
    used_tokens: int
    used_nanousd: int
    limit_tokens: int | None
    limit_nanousd: int | None
    limit_version: int
    as_of: int


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway says it lives, and up to which sequence of the directory it has applied (and persisted revocations)."""

    gateway: str
    boot: str
    directory_created: str
    applied_sequence: int
    at: int


class KeyActivity(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that have been used: (key id, the beginning of the latest minute that a request of it was admitted in).

    Coarse and best effort, for `last_used_at` alone: nobody waits for it, nothing is counted by it, repeats are harmless.
    """

    keys: tuple[tuple[str, int], ...]


AlertKind = Literal["threshold", "forecast", "exhausted"]


class AlertRaised(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Spending of a scope in a period has passed a part of its limit, or will pass it at the present pace, or has left too little of it:
    requests are refused. Said once each.

    `percent`: the threshold; of a forecast, the expected spend in percent of the limit; of an exhausted budget, what is spent of it.
    `unit`: tokens | nanousd.
    """

    alert_id: str
    kind: AlertKind
    organization_id: str
    scope: str
    scope_id: str
    period: str
    unit: Literal["tokens", "nanousd"]
    percent: int
    limit: int
    used: int
    raised_at: int
    project_id: str | None = None


class ExplainAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway asks what became of a request of a project."""

    project_id: str
    request_id: str


class ExplainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The event as booked; None = no such request of that project is booked (yet, or any more)."""

    event: RequestSettled | None
