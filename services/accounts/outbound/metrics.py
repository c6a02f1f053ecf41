"""The metrics of accounts, declared once."""

from prometheus_client import Counter, Gauge

OUTBOX_BACKLOG = Gauge("accounts_outbox_backlog", "Directory records waiting to be put into the bucket")
RELAY_LEADS = Gauge("accounts_relay_leads", "1 on the replica that relays the outbox, else 0")
RELAY_PUTS = Counter("accounts_relay_puts", "Directory records relayed: put, or older than what the bucket had", ["outcome"])
RELAY_FAILURES = Counter("accounts_relay_failures", "Attempts of the relay that ended because the bus or the database was away")
FILLS = Counter("accounts_directory_fills", "Complete fillings of the DIRECTORY bucket")
DIRECTORY_DRIFT = Gauge(
    "accounts_directory_drift", "Entries in which the bucket differed from the database at the last reconciliation", ["kind"]
)
DIRECTORY_REPAIRS = Counter("accounts_directory_repairs", "Entries of the bucket repaired, by how they differed", ["kind"])
GATEWAYS = Gauge("accounts_gateways_alive", "Gateways that have spoken lately")
LOGINS = Counter("accounts_logins", "Logins by outcome: ok, refused, throttled", ["outcome"])
IDEMPOTENT_REQUESTS = Counter(
    "accounts_idempotent_requests",
    "Requests with an Idempotency-Key by outcome: kept (a success), released (anything else), replayed, in_use, reused",
    ["outcome"],
)
LIMITED_REQUESTS = Counter(
    "accounts_limited_requests", "Requests refused by the rate limit, of callers that are known and of anonymous", ["caller"]
)
MAILS = Counter("accounts_mails", "Mails by outcome: sent (the mail server took it), failed", ["outcome"])
KEY_OPERATIONS = Counter(
    "accounts_key_operations", "Changes of API keys: issued, updated, rotated, rotation_ended, revoked", ["operation"]
)
