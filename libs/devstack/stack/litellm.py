"""A LiteLLM proxy as a process of its own, with the example configuration; never imported by us."""

import os
from pathlib import Path

from devstack.servers.ports import LOOPBACK
from devstack.stack.environment import inherited
from devstack.stack.refusal import Refused
from devstack.stack.settings import CHECKOUT, Settings

PROGRAM = CHECKOUT / ".venv-litellm/bin/litellm"
CONFIG = CHECKOUT / "litellm-config.example.yaml"
UPSTREAM_MODELS = ("gpt-4o-mini", "gpt-4o")
"""What the example configuration asks its provider for; the simulated one answers to these names as well."""

READY_TIMEOUT = 180.0
"""Its first start compiles thousands of modules."""

_DEPLOYMENTS = (1, 2, 3)


def config() -> Path:
    """LITELLM_CONFIG, or the example."""
    return Path(os.environ.get("LITELLM_CONFIG") or CONFIG).absolute()


def command(port: int) -> list[str]:
    """How to start it. Raises Refused when it is not installed."""
    if not PROGRAM.exists():
        raise Refused(
            "LiteLLM is not installed; start with `make up LITELLM=1`, which installs it into an environment of its own."
        )
    return [str(PROGRAM), "--config", str(config()), "--host", LOOPBACK, "--port", str(port)]


def environment(settings: Settings, simulated: str | None, master_key: str) -> dict[str, str]:
    """In front of the simulated provider when its address is given, else of the provider whose keys are set."""
    key = settings.openai_api_key or "simulated"
    keys = {f"OPENAI_API_KEY_{number}": os.environ.get(f"OPENAI_API_KEY_{number}") or key for number in _DEPLOYMENTS}
    own = {
        "LITELLM_MASTER_KEY": master_key,
        "OPENAI_API_BASE": simulated or settings.openai_base_url,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_TELEMETRY": "False",
        "NO_DOCS": "True",
    }
    return inherited("LITELLM_") | own | ({**keys} if simulated is None else dict.fromkeys(keys, "simulated"))
