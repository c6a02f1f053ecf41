"""litellm-config.example.yaml: two pools, no surprises."""

import re
from typing import Any

import yaml

from common.contracts import prices
from tests.checkout import ROOT

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "litellm-config.example.yaml").read_text())


def pool(name: str) -> list[dict[str, Any]]:
    """A pool's deployments' parameters."""
    return [entry["litellm_params"] for entry in CONFIG["model_list"] if entry["model_name"] == name]


def test_two_pools_of_three_keys_each() -> None:
    """Each pool has three deployments of one model, each with a key and limits of its own."""
    assert {entry["model_name"] for entry in CONFIG["model_list"]} == {"fast", "deep"}
    for name, model in (("fast", "openai/gpt-4o-mini"), ("deep", "openai/gpt-4o")):
        deployments = pool(name)
        assert [deployment["model"] for deployment in deployments] == [model] * 3
        assert len({deployment["api_key"] for deployment in deployments}) == 3
        assert all(deployment["rpm"] > 0 and deployment["tpm"] > 0 for deployment in deployments)


def test_every_attempt_is_the_gateways() -> None:
    """LiteLLM neither retries nor falls back to another pool: either would spend what no budget was asked for."""
    assert CONFIG["router_settings"] == {"routing_strategy": "simple-shuffle", "num_retries": 0}
    assert CONFIG["litellm_settings"]["num_retries"] == 0
    assert not re.search(r"^\s*\w*fallbacks:", (ROOT / "litellm-config.example.yaml").read_text(), re.MULTILINE)


def test_no_secret_and_no_content_leaves() -> None:
    """Keys come from the environment; prompts and answers are not logged."""
    for entry in CONFIG["model_list"]:
        assert entry["litellm_params"]["api_key"].startswith("os.environ/")
    assert CONFIG["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"
    assert CONFIG["litellm_settings"]["turn_off_message_logging"] is True
    assert CONFIG["litellm_settings"]["callbacks"] == []


def test_pools_cost_what_their_models_cost() -> None:
    """The price book has the pools, at the rates of the models behind them."""
    book = prices.built_in_book()
    for name, model in (("fast", "gpt-4o-mini"), ("deep", "gpt-4o")):
        pool_price, model_price = book.models[name], book.models[model]
        assert (pool_price.input, pool_price.cached_input, pool_price.output) == (
            model_price.input,
            model_price.cached_input,
            model_price.output,
        )
