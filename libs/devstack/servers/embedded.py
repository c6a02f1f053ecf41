"""Servers that run as processes of ours, from the binaries in this environment."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import sysconfig
from functools import lru_cache
from pathlib import Path

from devstack.servers.process import Process
from devstack.servers.server import Server


class EmbeddedServer(Server[Process]):
    """A server whose runner is a process of ours."""

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._runner.pid if self._runner else None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or before the first start."""
        return self._runner.exit_code if self._runner else None

    def _wait(self) -> None:
        if self._runner:
            self._runner.wait_ready(self.is_ready)


def script(name: str) -> str:
    """A program that a wheel put beside this Python. Raises FileNotFoundError with how to mend it."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if not found:
        raise FileNotFoundError(f"{name} is missing from this environment; run `make install`")
    return found


def package_folder(package: str) -> Path:
    """Where a wheel's files are, without importing it. Raises FileNotFoundError with how to mend it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{package} is missing from this environment; run `make install`")
    return Path(spec.submodule_search_locations[0])


@lru_cache(maxsize=1)
def unprivileged() -> tuple[tuple[str, ...], int | None]:
    """How to run what refuses root: a prefix for the command, and a user id to become.

    A user namespace needs no account and works below a private home; where it is refused, the process becomes `nobody`.
    """
    if os.geteuid():
        return (), None
    namespace = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if shutil.which("unshare") and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0:
        return namespace, None
    return (), pwd.getpwnam("nobody").pw_uid


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
