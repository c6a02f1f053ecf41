"""No program of the stack is told another's secrets."""

import pytest

from devstack.servers.nats import NatsServer
from devstack.servers.postgres import PostgresServer
from devstack.servers.valkey import ValkeyServer
from devstack.stack import settings
from devstack.stack.environment import Environments, inherited
from devstack.stack.state import State

EVERYTHING = {
    "PATH": "/bin",
    "OPENAI_API_KEY": "secret",
    "OPENAI_API_KEY_2": "secret",
    "LITELLM_API_KEY": "secret",
    "UPSTREAM_API_KEY": "secret",
    "GATEWAY_LOG_LEVEL": "DEBUG",
    "ACCOUNTS_LOG_LEVEL": "INFO",
    "USAGE_RETENTION_DAYS": "1",
}


@pytest.mark.parametrize(
    ("prefix", "own"),
    [
        ("GATEWAY_", {"GATEWAY_LOG_LEVEL"}),
        ("ACCOUNTS_", {"ACCOUNTS_LOG_LEVEL"}),
        ("USAGE_", {"USAGE_RETENTION_DAYS"}),
        ("", set()),
    ],
)
def test_a_program_inherits_its_own_variables_alone(prefix, own):
    """Its prefix and the neutral ones; never an upstream key, never what is meant for another service."""
    assert inherited(prefix, EVERYTHING).keys() == {"PATH", "PYTHONUNBUFFERED", *own}


def test_only_the_migration_has_the_password_of_the_schemas_owner(tmp_path):
    """The service is not told it."""
    state = State(tmp_path)
    secret = state.secrets()["postgres_accounts_owner"]
    servers = (
        NatsServer(tmp_path / "nats", passwords={}, port=1),
        PostgresServer(tmp_path / "postgres", password="", port=2),
        ValkeyServer(tmp_path / "valkey", password="", port=3),
    )
    environments = Environments(settings.read({}), state, *servers)
    assert secret in environments.accounts_migration().values()
    for env in (environments.accounts(), environments.usage(), environments.bus(), environments.gateway("gateway", 4, None)):
        assert secret not in env.values()
