"""What each program of the stack is told: its own variables and no other's secrets."""

import os
from collections.abc import Mapping

from devstack.servers.nats import NatsServer
from devstack.servers.ports import LOOPBACK
from devstack.servers.postgres import PostgresServer
from devstack.servers.valkey import ValkeyServer
from devstack.stack.settings import UPSTREAM_SECRETS, Settings
from devstack.stack.state import State

_PREFIXES = ("ACCOUNTS_", "USAGE_", "GATEWAY_", "BUS_", "LITELLM_", "UPSTREAM_")
# Reserved sizes of the streams: 1/16 of production's, for the disk of a laptop.
MAX_BYTES_SCALE = "0.0625"


def inherited(prefix: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The caller's environment without upstream keys and without what is meant for other programs than `prefix`."""
    foreign = tuple(other for other in _PREFIXES if other != prefix)
    kept = {name: value for name, value in environment.items() if not name.startswith((*foreign, *UPSTREAM_SECRETS))}
    return {**kept, "PYTHONUNBUFFERED": "1"}


class Environments:
    """Builds the environment of each program."""

    def __init__(
        self, settings: Settings, state: State, nats: NatsServer, postgres: PostgresServer, valkey: ValkeyServer
    ) -> None:
        self._settings = settings
        self._folder = state.folder
        self._secrets = state.secrets()
        self._nats = nats
        self._postgres = postgres
        self._valkey = valkey

    def bus(self) -> dict[str, str]:
        """For the provisioning job."""
        own = {
            "BUS_NATS_URL": self._nats.url,
            "BUS_NATS_PASSWORD": self._secrets["nats_provisioner"],
            "BUS_MAX_BYTES_SCALE": MAX_BYTES_SCALE,
        }
        return inherited("BUS_") | own

    def accounts(self) -> dict[str, str]:
        """For the service and the seed."""
        own = {
            "ACCOUNTS_PORT": str(self._settings.accounts_port),
            "ACCOUNTS_KEY_PEPPERS": self._secrets["key_peppers"],
            "ACCOUNTS_SIGNING_KEY": self._secrets["signing_key"],
        }
        links = {"ACCOUNTS_PUBLIC_URL": f"http://127.0.0.1:{self._settings.accounts_port}"}
        return links | inherited("ACCOUNTS_") | self._service("accounts") | own

    def accounts_migration(self) -> dict[str, str]:
        """For the migrations, which alone have the password of the schema's owner."""
        own = {
            "ACCOUNTS_DATABASE_URL": self._postgres.url("accounts"),
            "ACCOUNTS_OWNER_DATABASE_URL": self._postgres.url("accounts_owner"),
            "ACCOUNTS_OWNER_DATABASE_PASSWORD": self._secrets["postgres_accounts_owner"],
        }
        return inherited("ACCOUNTS_") | own

    def usage(self) -> dict[str, str]:
        """For the service and its migrations."""
        jwks = f"http://{LOOPBACK}:{self._settings.accounts_port}/.well-known/jwks.json"
        own = {"USAGE_PORT": str(self._settings.usage_port), "USAGE_JWKS_URL": jwks}
        return inherited("USAGE_") | self._service("usage") | own

    def gateway(self, name: str, port: int, upstream_key: str | None) -> dict[str, str]:
        """For one gateway: a state folder of its own, the cache and the routes shared."""
        own = {
            "GATEWAY_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            "GATEWAY_NATS_URL": self._nats.url,
            "GATEWAY_NATS_PASSWORD": self._secrets["nats_gateway"],
            "GATEWAY_KEY_PEPPERS": self._secrets["key_peppers"],
            "GATEWAY_VIEW_SECRET": self._secrets["view_secret"],
            "GATEWAY_STATE_DIR": str(self._folder / name),
            "GATEWAY_ROUTES_FILE": str(self._folder / "routes.toml"),
            "GATEWAY_CACHE_URL": self._valkey.url,
            "GATEWAY_CACHE_PASSWORD": self._secrets["valkey"],
        }
        return inherited("GATEWAY_") | own | ({"UPSTREAM_API_KEY": upstream_key} if upstream_key else {})

    def _service(self, name: str) -> dict[str, str]:
        prefix = name.upper()
        return {
            f"{prefix}_HOST": LOOPBACK,
            f"{prefix}_DATABASE_URL": self._postgres.url(name),
            f"{prefix}_DATABASE_PASSWORD": self._secrets[f"postgres_{name}"],
            f"{prefix}_NATS_URL": self._nats.url,
            f"{prefix}_NATS_PASSWORD": self._secrets[f"nats_{name}"],
        }
