"""Reads the routes file (TOML): upstreams, tiers, named models. Upstream addresses come from here alone, never from a request."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from common.contracts.prices import PriceBook
from gateway.domain.model_families import cap_field_of, family_of
from gateway.domain.routing import TIERS, Candidate, Route, Routes, make_route

DEFAULT_DEEP_FROM = 8000
DEFAULT_OUTPUT_CAP = 4096


class RoutesError(Exception):
    """The file cannot be used; the sentence says which entry and how to mend it."""


class _Upstream(msgspec.Struct, forbid_unknown_fields=True):
    base_url: str
    api_key_env: str | None = None
    ca_file: str | None = None


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    upstream: str
    model: str
    price: str | None = None
    cap_field: str | None = None


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    upstream: str
    model: str | None = None
    price: str | None = None
    pattern: bool = False
    cap_field: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    upstreams: dict[str, _Upstream]
    tiers: dict[str, list[_Choice]]
    models: list[_Model] = []
    deep_from_characters: int = DEFAULT_DEEP_FROM
    default_output_cap: int = DEFAULT_OUTPUT_CAP


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Where an upstream is; `api_key` is never printed."""

    base_url: str
    api_key: str | None
    ca_file: str | None

    def __repr__(self) -> str:
        return f"UpstreamAddress({self.base_url!r})"


def read_routes(
    path: Path, prices: PriceBook, environment: Mapping[str, str] = os.environ
) -> tuple[Routes, dict[str, UpstreamAddress]]:
    """The routes and the upstreams they name. Raises RoutesError."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text()), _File)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise RoutesError(f"{path}: {problem}") from None
    addresses = {name: _address(path, name, upstream, environment) for name, upstream in file.upstreams.items()}
    if set(file.tiers) != set(TIERS) or not all(file.tiers.values()):
        raise RoutesError(f"{path}: give the tiers fast and deep, each with at least one upstream and model")
    tiers = {
        name: make_route(name, tuple(_candidate(path, file, choice, prices) for choice in file.tiers[name])) for name in TIERS
    }
    models, prefixes = _models(path, file, prices)
    return Routes(tiers, models, prefixes, file.deep_from_characters, file.default_output_cap), addresses


def _address(path: Path, name: str, upstream: _Upstream, environment: Mapping[str, str]) -> UpstreamAddress:
    if not upstream.base_url.startswith(("http://", "https://")):
        raise RoutesError(f"{path}: upstream {name}: base_url must begin with http:// or https://")
    key = environment.get(upstream.api_key_env) if upstream.api_key_env else None
    if upstream.api_key_env and not key:
        raise RoutesError(f"{path}: upstream {name}: the environment variable {upstream.api_key_env} is not set")
    return UpstreamAddress(upstream.base_url.rstrip("/"), key, upstream.ca_file)


def _candidate(path: Path, file: _File, choice: _Choice, prices: PriceBook) -> Candidate:
    if choice.upstream not in file.upstreams:
        raise RoutesError(f"{path}: model {choice.model} names the unknown upstream {choice.upstream}")
    price = prices.find(choice.price or choice.model)
    return Candidate(
        upstream=choice.upstream,
        model=choice.model,
        model_json=msgspec.json.encode(choice.model),
        price=price,
        cap_field=choice.cap_field or cap_field_of(choice.model),
        price_name=choice.price or "",
        family=family_of(choice.model) or family_of(choice.price or ""),
    )


def _models(path: Path, file: _File, prices: PriceBook) -> tuple[dict[str, Route], dict[str, Candidate]]:
    models: dict[str, Route] = {}
    prefixes: dict[str, Candidate] = {}
    for model in file.models:
        choice = _Choice(model.upstream, model.model or model.name, model.price, model.cap_field)
        candidate = _candidate(path, file, choice, prices)
        if model.pattern:
            prefixes[model.name.rstrip("*")] = candidate
        else:
            models[model.name] = make_route("", (candidate,))
    return models, prefixes
