"""The metrics of this service: names, units and meaning in one place. No label names a tenant."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("usage_events_total", "Events by what became of them: recorded, duplicate, parked.", ["fate"])
BATCHES = Counter("usage_batches_total", "Batches by outcome: committed, retried (nothing was written), split.", ["outcome"])
BATCH_SECONDS = Histogram(
    "usage_batch_seconds",
    "Time to book and commit one batch.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15),
)
MESSAGES = Counter("usage_messages_total", "Envelopes by fate: done, again (nak), never (dead letter).", ["fate"])
COST_DISAGREEMENTS = Counter("usage_cost_disagreements_total", "Events whose cost differs from the price book of their version.")
HEADER_MISMATCHES = Counter("usage_header_mismatches_total", "Envelopes whose headers promise another number of events.")
GRANT_ANSWERS = Counter("usage_grant_answers_total", "Answers to asks for budget, by status.", ["status"])
GRANT_FAILURES = Counter("usage_grant_failures_total", "Asks left without an answer, by reason.", ["reason"])
GRANT_SECONDS = Histogram(
    "usage_grant_seconds",
    "Time from hearing an ask to its answer.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2),
)
RATE_SECONDS = Histogram(
    "usage_rate_seconds",
    "Time from hearing an ask for rate leases to its answer.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2),
)
ALERTS_RAISED = Counter(
    "usage_alerts_raised_total", "Thresholds passed, overruns to be expected and budgets that refuse, each told once."
)
ALERTS_UNJUDGED = Counter(
    "usage_alerts_unjudged_total", "Times that a scope's pace could not be judged: an unknown time zone, a period out of range."
)
LAG_MESSAGES = Gauge("usage_lag_messages", "Envelopes that wait in the stream, delivered or not.")
DIRECTORY_RECORDS = Counter("usage_directory_records_total", "Directory records by what became of them.", ["fate"])
WATCHDOG_REPAIRS = Counter("usage_watchdog_repairs_total", "Durable consumers re-created.")
