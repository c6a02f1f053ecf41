"""The environment of `make up` as checked values."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devstack.stack.refusal import Refused

CHECKOUT = Path(__file__).parents[3]
GATEWAY_STEP = 10
MOST_GATEWAYS = 32

UpstreamKind = Literal["simulated", "openai", "litellm"]

# Names that begin so (OPENAI_API_KEY_2) reach only the process that needs them.
UPSTREAM_SECRETS = ("OPENAI_API_KEY", "LITELLM_API_KEY", "LITELLM_MASTER_KEY", "UPSTREAM_API_KEY")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the gateways send requests. `base_url` None = something this stack starts itself."""

    kind: UpstreamKind
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    fast: str = "gpt-4o-mini"
    deep: str = "gpt-4o"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `make up` was asked for."""

    state: Path
    gateway_ports: tuple[int, ...]
    accounts_port: int
    usage_port: int
    upstream: Upstream
    start_litellm: bool
    openai_api_key: str | None = field(default=None, repr=False)
    openai_base_url: str = "https://api.openai.com/v1"

    @property
    def start_provider(self) -> bool:
        """The simulated provider is needed: no upstream was configured."""
        return self.upstream.kind == "simulated" or (self.start_litellm and not self.openai_api_key)

    def ports(self) -> dict[str, tuple[int, str]]:
        """The ports that people know, by service: number, and the variable that changes it. Raises Refused when two are equal."""
        ports = {name: (port, "GATEWAY_PORT") for name, port in zip(self.gateway_names(), self.gateway_ports, strict=True)}
        ports |= {"accounts": (self.accounts_port, "ACCOUNTS_PORT"), "usage": (self.usage_port, "USAGE_PORT")}
        taken: dict[int, str] = {}
        for name, (port, variable) in ports.items():
            if port in taken:
                raise Refused(f"{name} and {taken[port]} cannot both have port {port}; change {variable}.")
            taken[port] = name
        return ports

    def gateway_names(self) -> tuple[str, ...]:
        """`gateway`, `gateway-2`, …"""
        return tuple("gateway" if number == 0 else f"gateway-{number + 1}" for number in range(len(self.gateway_ports)))


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """CODEXFLOW_STATE, or `.codexflow` in the checkout."""
    return Path(environment.get("CODEXFLOW_STATE") or CHECKOUT / ".codexflow").absolute()


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises Refused with the variable's name when a value cannot be used."""
    gateways = _number(environment, "GATEWAYS", 1, at_most=MOST_GATEWAYS)
    first = _number(environment, "GATEWAY_PORT", 8000, at_most=65_535 - GATEWAY_STEP * (gateways - 1))
    return Settings(
        state=state_folder(environment),
        gateway_ports=tuple(first + GATEWAY_STEP * number for number in range(gateways)),
        accounts_port=_number(environment, "ACCOUNTS_PORT", 8001),
        usage_port=_number(environment, "USAGE_PORT", 8002),
        upstream=_upstream(environment),
        start_litellm=_is_on(environment.get("LITELLM")),
        openai_api_key=environment.get("OPENAI_API_KEY") or None,
        openai_base_url=_with_path(environment.get("UPSTREAM_BASE_URL") or "https://api.openai.com/v1", "UPSTREAM_BASE_URL"),
    )


def _upstream(environment: Mapping[str, str]) -> Upstream:
    if _is_on(environment.get("LITELLM")):
        return Upstream("litellm", fast="fast", deep="deep")
    if url := environment.get("LITELLM_BASE_URL"):
        base_url = _with_path(url, "LITELLM_BASE_URL")
        return Upstream("litellm", base_url, environment.get("LITELLM_API_KEY") or None, fast="fast", deep="deep")
    key, url = environment.get("OPENAI_API_KEY") or None, environment.get("UPSTREAM_BASE_URL")
    if key or url:
        models = {name: environment[variable] for name, variable in _MODEL_VARIABLES if environment.get(variable)}
        return Upstream("openai", _with_path(url or "https://api.openai.com/v1", "UPSTREAM_BASE_URL"), key, **models)
    return Upstream("simulated", fast="sim-fast-1", deep="sim-deep-1")


_MODEL_VARIABLES = (("fast", "UPSTREAM_FAST_MODEL"), ("deep", "UPSTREAM_DEEP_MODEL"))


def _is_on(value: str | None) -> bool:
    return (value or "").lower() not in {"", "0", "no", "false", "off"}


def _with_path(url: str, variable: str) -> str:
    """OpenAI's clients expect `/v1` at the end; an address without any path means that."""
    scheme, separator, rest = url.rstrip("/").partition("://")
    if scheme not in {"http", "https"} or not separator or not rest:
        raise Refused(f"{variable} must be an http:// or https:// address.")
    if "@" in rest.split("/")[0]:
        raise Refused(f"{variable} must not contain credentials; give the key in its own variable.")
    return f"{scheme}://{rest}" if "/" in rest else f"{scheme}://{rest}/v1"


def _number(environment: Mapping[str, str], name: str, default: int, *, at_most: int = 65_535) -> int:
    text = environment.get(name) or str(default)
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= at_most:
        raise Refused(f"{name} must be a number from 1 to {at_most}, not {text!r}.")
    return number
