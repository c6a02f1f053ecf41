"""The checkout that the tests run in, and what the services say about their own settings."""

import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

ROOT = Path(__file__).parent.parent
SERVICES = ("accounts", "gateway", "usage")


@lru_cache(maxsize=1)
def variables_of_the_bus_job() -> frozenset[str]:
    """What `python -m common.bus` reads, by its own words."""
    source = (ROOT / "libs/common/bus/__main__.py").read_text()
    return frozenset(
        name for name in ("BUS_NATS_URL", "BUS_NATS_PASSWORD", "BUS_REPLICAS", "BUS_MAX_BYTES_SCALE") if name in source
    )


def known_variables(service: str) -> dict[str, str | None]:
    """The environment variables of a service's settings class with their defaults; None = must be given."""
    settings: Any = importlib.import_module(f"{service}.settings").Settings
    prefix = settings.model_config["env_prefix"].upper()
    fields = settings.model_fields.items()
    return {f"{prefix}{name.upper()}": None if field.is_required() else as_text(field.default) for name, field in fields}


def variables_of_the_migration(service: str) -> dict[str, str]:
    """Those that only the migration of a service knows, with their defaults."""
    settings: Any = getattr(importlib.import_module(f"{service}.settings"), "MigrationSettings", None)
    fields = {} if settings is None else settings.model_fields
    known = known_variables(service)
    names = {f"{service.upper()}_{name.upper()}": field for name, field in fields.items()}
    return {name: as_text(field.default) for name, field in names.items() if name not in known}


def as_text(default: object) -> str:
    """A default as somebody would write it in the environment."""
    if default is None or default == ():
        return ""
    return default.get_secret_value() if isinstance(default, SecretStr) else str(default)
