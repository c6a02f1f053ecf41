"""Every subject, stream and bucket: who speaks, who listens. docs/events.md is generated from this table."""

from dataclasses import dataclass
from typing import Literal

REQUESTS = "gateway.requests.v1"
PRESENCE = "gateway.presence.v1"
DIRECTORY_REPUBLISHED = "accounts.directory.v1"
GRANTS_ASK = "usage.grants.ask.v1"
RATES_ASK = "usage.rates.ask.v1"
EXPLAIN_ASK = "usage.explain.ask.v1"
ALERTS = "usage.alerts.v1"
GRANTS_RECALL = "usage.grants.recall.v1"
RATES_RECALL = "usage.rates.recall.v1"
QUOTA_STATE = "usage.quota.v1"
WATERMARKS = "usage.watermarks.v1"
KEY_ACTIVITY = "usage.key_activity.v1"
DEAD_LETTERS = "usage.dead_letters.v1"

REQUESTS_STREAM = "REQUESTS"
REQUESTS_CONSUMER = "usage"
DEAD_LETTERS_STREAM = "DEAD_LETTERS"
DIRECTORY_STREAM = "KV_DIRECTORY"

Service = Literal["gateway", "accounts", "usage"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A row of the table. `pattern` ends in `.>` or `.*` when the last part names an object."""

    pattern: str
    speaks: Service
    listens: tuple[Service, ...]
    shape: str
    durable: str
    meaning: str


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        REQUESTS,
        "gateway",
        ("usage",),
        "events.RequestSettled[] (envelope)",
        f"stream {REQUESTS_STREAM}, work queue, consumer {REQUESTS_CONSUMER}",
        "requests have been settled; boot and numbers in the headers",
    ),
    Subject(
        f"{DIRECTORY_REPUBLISHED}.>",
        "accounts",
        ("gateway", "usage"),
        "directory.KeyRecord | ProjectRecord | OrganizationRecord | Manifest",
        "bucket DIRECTORY, republished by the server",
        "a key, project or organization has changed",
    ),
    Subject(
        PRESENCE,
        "gateway",
        ("accounts", "usage"),
        "events.Presence",
        "none (said every second and after every change)",
        "a gateway lives and has applied the directory up to a sequence",
    ),
    Subject(
        GRANTS_ASK,
        "gateway",
        ("usage",),
        "grants.GrantAsk → grants.GrantAnswer",
        "none (request/reply)",
        "a gateway asks for budget, returns some, or hears where a scope stands",
    ),
    Subject(
        GRANTS_RECALL,
        "usage",
        ("gateway",),
        "grants.Recall",
        "none (asked again while a request waits)",
        "a budget is nearly handed out and somebody waits: gateways return what they have not reserved",
    ),
    Subject(
        RATES_ASK,
        "gateway",
        ("usage",),
        "rates.RatesAsk → rates.RatesAnswer",
        "none (request/reply)",
        "a gateway asks for its share of limits per minute and of concurrency",
    ),
    Subject(
        RATES_RECALL,
        "usage",
        ("gateway",),
        "rates.RatesRecall",
        "none (asked again while a request waits)",
        "a limit per minute or on concurrency is leased out and somebody waits: gateways give back what they do not need",
    ),
    Subject(
        EXPLAIN_ASK,
        "gateway",
        ("usage",),
        "events.ExplainAsk → events.ExplainAnswer",
        "none (request/reply)",
        "a client asks what became of a request",
    ),
    Subject(
        f"{ALERTS}.*",
        "usage",
        (),
        "events.AlertRaised",
        "none (kept in usage's list of alerts)",
        "spending has passed a part of a limit, or will, or has left too little for requests; the last part is the organization's id",
    ),
    Subject(
        f"{QUOTA_STATE}.*",
        "usage",
        ("gateway",),
        "events.QuotaState",
        "none (said after every change)",
        "the spend of a scope in its period has changed",
    ),
    Subject(
        f"{WATERMARKS}.*",
        "usage",
        ("gateway",),
        "events.Watermark",
        "none (said every second)",
        "events of a boot are committed up to a number: their spool may go",
    ),
    Subject(
        KEY_ACTIVITY,
        "usage",
        ("accounts",),
        "events.KeyActivity",
        "none (said after every batch; what a restart loses is made good by the key's next minute of use)",
        "API keys have been used, each at most once per minute",
    ),
    Subject(
        DEAD_LETTERS,
        "usage",
        (),
        "the refused body, reason in the headers",
        f"stream {DEAD_LETTERS_STREAM}, 30 days",
        "a message could never be processed and has been parked",
    ),
)
