"""The nats-server configuration: least-privilege users per service, limits, durability. Passwords come from the caller."""

from dataclasses import dataclass

from common.contracts import subjects

ADMINISTRATOR = "provisioner"

_DIRECTORY = subjects.DIRECTORY_STREAM
_READ_DIRECTORY = (
    f"$JS.API.STREAM.INFO.{_DIRECTORY}",
    f"$JS.API.CONSUMER.CREATE.{_DIRECTORY}",
    f"$JS.API.CONSUMER.CREATE.{_DIRECTORY}.>",
    f"$JS.API.CONSUMER.DELETE.{_DIRECTORY}.>",
    f"$JS.API.CONSUMER.INFO.{_DIRECTORY}.>",
    f"$JS.API.CONSUMER.MSG.NEXT.{_DIRECTORY}.>",
    f"$JS.API.DIRECT.GET.{_DIRECTORY}",
    f"$JS.API.DIRECT.GET.{_DIRECTORY}.>",
)


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a user may publish and subscribe to, besides answering requests sent to it."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


PERMISSIONS: dict[str, Permissions] = {
    "gateway": Permissions(
        publish=(
            subjects.REQUESTS,
            subjects.PRESENCE,
            subjects.GRANTS_ASK,
            subjects.RATES_ASK,
            subjects.EXPLAIN_ASK,
            f"$JS.API.STREAM.INFO.{subjects.REQUESTS_STREAM}",
            *_READ_DIRECTORY,
        ),
        subscribe=(
            "_INBOX.gateway.>",
            f"{subjects.DIRECTORY_REPUBLISHED}.>",
            subjects.GRANTS_RECALL,
            subjects.RATES_RECALL,
            f"{subjects.QUOTA_STATE}.*",
            f"{subjects.WATERMARKS}.*",
        ),
    ),
    "accounts": Permissions(
        publish=("$KV.DIRECTORY.>", "$JS.API.INFO", f"$JS.API.STREAM.MSG.GET.{_DIRECTORY}", *_READ_DIRECTORY),
        subscribe=("_INBOX.accounts.>", subjects.PRESENCE, subjects.KEY_ACTIVITY),
    ),
    "usage": Permissions(
        publish=(
            subjects.GRANTS_RECALL,
            subjects.RATES_RECALL,
            f"{subjects.QUOTA_STATE}.*",
            f"{subjects.WATERMARKS}.*",
            f"{subjects.ALERTS}.*",
            subjects.KEY_ACTIVITY,
            subjects.DEAD_LETTERS,
            "$JS.API.INFO",
            f"$JS.API.STREAM.INFO.{subjects.REQUESTS_STREAM}",
            f"$JS.API.STREAM.INFO.{subjects.DEAD_LETTERS_STREAM}",
            f"$JS.API.CONSUMER.*.{subjects.REQUESTS_STREAM}.>",
            f"$JS.API.CONSUMER.DURABLE.CREATE.{subjects.REQUESTS_STREAM}.>",
            f"$JS.API.CONSUMER.MSG.NEXT.{subjects.REQUESTS_STREAM}.>",
            f"$JS.ACK.{subjects.REQUESTS_STREAM}.>",
            *_READ_DIRECTORY,
        ),
        subscribe=(
            "_INBOX.usage.>",
            subjects.GRANTS_ASK,
            subjects.RATES_ASK,
            subjects.EXPLAIN_ASK,
            subjects.PRESENCE,
            f"{subjects.DIRECTORY_REPUBLISHED}.>",
        ),
    ),
}

_HEAD = """\
server_name: codexflow
max_payload: 1MB
jetstream {
  store_dir: %(store_dir)s
  # One node: a message is on the disk before it is acknowledged. In a cluster of three, 10s.
  sync_interval: %(sync_interval)s
}
# The second form of acknowledgement subjects breaks the Python client's consumers.
feature_flags { js_ack_fc_v2: false }
authorization {
  timeout: 2
  users: [
"""


def render(
    *,
    passwords: dict[str, str],
    store_dir: str,
    listen: str,
    monitor: str | None = None,
    sync_interval: str = "always",
) -> str:
    """The configuration text. A password that starts with `$` is read by the server from its environment."""
    lines = [f"listen: {listen}"]
    if monitor:
        lines.append(f"http: {monitor}")
    lines.append(_HEAD % {"store_dir": _quoted(store_dir), "sync_interval": sync_interval})
    lines.append(f"    {{ user: {ADMINISTRATOR}, password: {_secret(passwords[ADMINISTRATOR])} }}")
    for user, permissions in PERMISSIONS.items():
        lines.append(f"    {{ user: {user}, password: {_secret(passwords[user])}, permissions: {{")
        lines.append(f"        publish: {{ allow: [{', '.join(map(_quoted, permissions.publish))}] }}")
        lines.append(f"        subscribe: {{ allow: [{', '.join(map(_quoted, permissions.subscribe))}] }}")
        lines.append('        allow_responses: { max: 1, expires: "10s" } } }')
    lines.append("  ]\n}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _secret(password: str) -> str:
    return password if password.startswith("$") else _quoted(password)
