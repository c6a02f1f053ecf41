"""What the environment of `make up` means."""

import pytest

from devstack.stack import settings
from devstack.stack.refusal import Refused


def test_nothing_set_means_the_simulated_provider_on_the_known_ports():
    """Without any variable: 8000, 8001, 8002, `.codexflow` in the checkout, simulated."""
    read = settings.read({})
    assert read.ports() == {
        "gateway": (8000, "GATEWAY_PORT"),
        "accounts": (8001, "ACCOUNTS_PORT"),
        "usage": (8002, "USAGE_PORT"),
    }
    assert read.state == settings.CHECKOUT / ".codexflow"
    assert read.upstream.kind == "simulated"
    assert read.start_provider


def test_further_gateways_take_every_tenth_port():
    """GATEWAYS=4 listens on 8000, 8010, 8020 and 8030."""
    read = settings.read({"GATEWAYS": "4"})
    assert read.gateway_ports == (8000, 8010, 8020, 8030)
    assert read.gateway_names() == ("gateway", "gateway-2", "gateway-3", "gateway-4")


@pytest.mark.parametrize(
    ("environment", "kind", "base_url", "key"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai", "https://api.openai.com/v1", "k"),
        ({"UPSTREAM_BASE_URL": "http://127.0.0.1:9"}, "openai", "http://127.0.0.1:9/v1", None),
        ({"UPSTREAM_BASE_URL": "http://h/api/openai/", "OPENAI_API_KEY": "k"}, "openai", "http://h/api/openai", "k"),
        (
            {"LITELLM_BASE_URL": "http://h:4000", "LITELLM_API_KEY": "l", "OPENAI_API_KEY": "k"},
            "litellm",
            "http://h:4000/v1",
            "l",
        ),
    ],
)
def test_a_configured_upstream_replaces_the_simulated_one(environment, kind, base_url, key):
    """OpenAI by its key, anything compatible by its address, LiteLLM before both."""
    read = settings.read(environment)
    assert (read.upstream.kind, read.upstream.base_url, read.upstream.api_key) == (kind, base_url, key)
    assert not read.start_provider


@pytest.mark.parametrize(
    ("environment", "simulated"), [({"LITELLM": "1"}, True), ({"LITELLM": "1", "OPENAI_API_KEY": "k"}, False)]
)
def test_our_own_litellm_stands_before_the_keys_that_are_set(environment, simulated):
    """LITELLM=1 uses the provider whose key is set, else the simulated one; LITELLM=0 means no."""
    read = settings.read(environment)
    assert read.start_litellm
    assert read.upstream.kind == "litellm"
    assert read.start_provider is simulated
    assert not settings.read({"LITELLM": "0"}).start_litellm


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"GATEWAY_PORT": "x"}, "GATEWAY_PORT"),
        ({"GATEWAYS": "0"}, "GATEWAYS"),
        ({"GATEWAYS": "2", "GATEWAY_PORT": "65530"}, "GATEWAY_PORT"),
        ({"GATEWAYS": "2", "USAGE_PORT": "8010"}, "USAGE_PORT"),
        ({"UPSTREAM_BASE_URL": "ftp://h"}, "UPSTREAM_BASE_URL"),
        ({"LITELLM_BASE_URL": "http://user:secret@h"}, "LITELLM_BASE_URL"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(environment, named):
    """The sentence names the variable and never repeats a credential."""
    with pytest.raises(Refused, match=named) as refused:
        settings.read(environment).ports()
    assert "secret" not in str(refused.value)
