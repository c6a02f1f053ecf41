"""The sign-ins of this person on this machine: one file, 0600, one entry for each service."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codexflow_cli.errors import WrongUse


@dataclass(frozen=True)
class Credentials:
    """A refresh token, and the access token it was last exchanged for; `expires_at` is Unix seconds."""

    refresh_token: str
    access_token: str
    expires_at: float
    email: str = ""


class CredentialStore:
    """`credentials.json`. Changes are made under `locked`, since a refresh token is good for one exchange only."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "credentials.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else reads or writes meanwhile: two commands must not spend the same refresh token."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self, url: str) -> Credentials | None:
        """None when this person has not signed in there."""
        found = self._all().get(url)
        try:
            return None if found is None else Credentials(**found)
        except TypeError:
            return None

    def write(self, url: str, credentials: Credentials) -> None:
        """Keep them; the caller holds the lock."""
        self._replace({**self._all(), url: asdict(credentials)})

    def remove(self, url: str) -> None:
        """Forget them; the caller holds the lock."""
        kept = {name: value for name, value in self._all().items() if name != url}
        if kept:
            self._replace(kept)
        else:
            self._file.unlink(missing_ok=True)

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as problem:
            raise WrongUse(f"{self._file}: {problem}") from None
        return found if isinstance(found, dict) else {}

    def _replace(self, content: dict[str, Any]) -> None:
        fresh = self._file.with_suffix(f".{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                os.fchmod(file.fileno(), 0o600)
                json.dump(content, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._file)
        finally:
            fresh.unlink(missing_ok=True)
