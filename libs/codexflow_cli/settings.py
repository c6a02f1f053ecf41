"""Where the service is and what is meant when nothing is named: options over the environment over config.toml."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from codexflow_cli.errors import WrongUse

STACK = Path(".codexflow/stack.json")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
OTHERS = 0o077


@dataclass(frozen=True)
class Settings:
    """`token` is a long-lived token that stands for a sign-in; None = the one that `codexflow login` has stored."""

    url: str | None = None
    token: str | None = None
    organization: str | None = None
    project: str | None = None


NAMES = tuple(field.name for field in fields(Settings))


def configuration_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`codexflow` under XDG_CONFIG_HOME (when that is absolute, as its specification wants), else under ~/.config."""
    root = Path(environment.get("XDG_CONFIG_HOME", ""))
    return (root if root.is_absolute() else Path.home() / ".config") / "codexflow"


def load_settings(environment: Mapping[str, str], folder: Path, *, url: str | None = None) -> Settings:
    """What holds for this command. Raises WrongUse for a file that cannot be used."""
    values: dict[str, str | None] = dict.fromkeys(NAMES)
    values.update(_from_file(folder / "config.toml"))
    values.update({name: value for name in NAMES if (value := environment.get(f"CODEXFLOW_{name.upper()}"))})
    chosen = url or values["url"] or _url_of_stack()
    return Settings(**{**values, "url": None if chosen is None else _checked(chosen)})


def _from_file(path: Path) -> dict[str, str]:
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise WrongUse(f"{path}: {problem}") from None
    if wrong := [name for name, value in found.items() if name not in NAMES or not isinstance(value, str)]:
        raise WrongUse(f"{path}: {wrong[0]}: give {', '.join(NAMES)}, each as a text in quotes.")
    if "token" in found and path.stat().st_mode & OTHERS:
        raise WrongUse(f"{path} holds a token and others may read it; chmod 600 it.")
    return found


def _url_of_stack() -> str | None:
    """The accounts service of a `make up` in the working directory; a file that somebody left there may not name another host."""
    try:
        url = json.loads(STACK.read_text()).get("accounts_url")
    except (OSError, ValueError, AttributeError):
        return None
    return url if isinstance(url, str) and urlsplit(url).hostname in LOOPBACK else None


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")) or "@" in url:
        raise WrongUse("Give the address of accounts like https://accounts.example.com, without a user or password in it.")
    return url.rstrip("/")
