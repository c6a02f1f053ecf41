"""No program of the stack is told another's secrets."""

import pytest

from devstack.stack.environment import inherited

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
