"""The gateway's routes file for each kind of upstream."""

import json

from devstack.stack.settings import Upstream

DEEP_FROM_CHARACTERS = 8000

_SIMULATED_TIERS: dict[str, tuple[str, ...]] = {"fast": ("sim-fast-1", "sim-fast-2"), "deep": ("sim-deep-1", "sim-deep-2")}
_OPENAI_EMBEDDINGS = ("text-embedding-3-small", "text-embedding-3-large")


def render(upstream: Upstream, base_url: str, *, has_key: bool) -> str:
    """TOML as the gateway reads it; the upstream's key, when it has one, is read from UPSTREAM_API_KEY."""
    lines = [
        "# Written by `make up` at every start.",
        f"deep_from_characters = {DEEP_FROM_CHARACTERS}",
        "",
        f"[upstreams.{upstream.kind}]",
        f"base_url = {_text(base_url)}",
    ]
    if has_key:
        lines.append('api_key_env = "UPSTREAM_API_KEY"')
    for tier, candidates in tiers(upstream).items():
        for model in candidates:
            lines += ["", f"[[tiers.{tier}]]", f"upstream = {_text(upstream.kind)}", f"model = {_text(model)}"]
    for name, pattern in models(upstream):
        lines += ["", "[[models]]", f"name = {_text(name)}", f"upstream = {_text(upstream.kind)}"]
        if pattern:
            # The provider's fault models have no price of their own, and a project with a cost limit refuses what has none.
            lines += ["pattern = true", f"price = {_text(upstream.fast)}"]
    return "\n".join(lines) + "\n"


def tiers(upstream: Upstream) -> dict[str, tuple[str, ...]]:
    """The candidates of each tier, in order."""
    return _SIMULATED_TIERS if upstream.kind == "simulated" else {"fast": (upstream.fast,), "deep": (upstream.deep,)}


def models(upstream: Upstream) -> list[tuple[str, bool]]:
    """What clients may name besides `auto`, `fast` and `deep`; True = a prefix, for the provider's fault switches."""
    if upstream.kind == "litellm":
        return []
    if upstream.kind == "openai":
        return [(name, False) for name in dict.fromkeys((upstream.fast, upstream.deep, *_OPENAI_EMBEDDINGS))]
    named = [(name, False) for candidates in _SIMULATED_TIERS.values() for name in candidates]
    return [*named, ("sim-embed-1", False), ("sim-*", True)]


def _text(value: str) -> str:
    # A JSON string without non-ASCII characters is a TOML basic string.
    return json.dumps(value)
