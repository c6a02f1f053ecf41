"""The state folder: version marker, lock, secrets, remembered ports, processes, `stack.json`. Files are 0600, the folder 0700."""

import fcntl
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from common.bus.server_config import ADMINISTRATOR, PERMISSIONS
from devstack.servers.embedded import write_private
from devstack.servers.ports import free_port, is_free
from devstack.servers.postgres import ROLES
from devstack.stack import identity
from devstack.stack.refusal import Refused

VERSION = "codexflow-state 2"
LOG_ROTATION_BYTES = 10 * 1024 * 1024


class State:
    """A folder that one stack owns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    # -- the folder itself ----------------------------------------------------------------------------------------------
    def open(self) -> None:
        """Create the folder or take it up. Raises Refused when it is something else, of another version, or in use."""
        marker = self.folder / "version"
        if self.folder.is_dir() and any(self.folder.iterdir()):
            self._require_version(marker)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if not marker.exists():
            write_private(marker, VERSION + "\n")
        if not self._take_lock():
            raise Refused(f"A stack is running on {self.folder} already; stop it with `make down`.")

    def _require_version(self, marker: Path) -> None:
        found = marker.read_text().strip() if marker.is_file() else ""
        if not found.startswith("codexflow-state "):
            raise Refused(f"{self.folder} is not a CodexFlow state folder; set CODEXFLOW_STATE to another one.")
        if found != VERSION:
            raise Refused(f"{self.folder} was made by another version of CodexFlow ({found}); `make reset` deletes it.")

    def delete(self) -> bool:
        """Delete the folder with all data; False when there is none. Raises Refused when it is not ours or in use."""
        if not self.folder.exists():
            return False
        marker = self.folder / "version"
        if not marker.is_file() or not marker.read_text().startswith("codexflow-state "):
            raise Refused(f"{self.folder} is not a CodexFlow state folder; it is left alone.")
        if not self._take_lock():
            raise Refused(f"A stack is running on {self.folder}; stop it with `make down` first.")
        self.end_orphans()
        shutil.rmtree(self.folder)
        self.close()
        return True

    # -- the lock -------------------------------------------------------------------------------------------------------
    def _take_lock(self) -> bool:
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def claim(self) -> None:
        """Write down that this process supervises; called by the holder of the lock."""
        self.write("supervisor.json", {"pid": os.getpid(), "mark": identity.started_at(os.getpid())})

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def supervisor(self) -> tuple[int, str] | None:
        """Process id and mark of the running supervisor; None when nobody holds the lock."""
        if not (self.folder / "lock").exists():
            return None
        if self._take_lock():
            self.close()
            return None
        found = self.read("supervisor.json")
        if found and identity.is_alive(found["pid"], found["mark"]):
            return found["pid"], found["mark"]
        return None

    # -- files ----------------------------------------------------------------------------------------------------------
    def read(self, name: str) -> Any:
        """A JSON file of the folder, None when there is none."""
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return None

    def write(self, name: str, value: Any) -> None:
        """A JSON file of the folder, 0600, replaced as a whole."""
        write_private(self.folder / name, json.dumps(value, indent=2) + "\n")

    def log(self, name: str) -> Path:
        """The log of a part."""
        return self.folder / "logs" / f"{name}.log"

    def prepare_log(self, name: str) -> Path:
        """The log of a part that is about to start; one that has grown big is set aside."""
        log = self.log(name)
        log.parent.mkdir(mode=0o700, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_ROTATION_BYTES:
            log.replace(log.with_suffix(".log.1"))
        return log

    def secrets(self) -> dict[str, str]:
        """Passwords and keys of this stack, made once. NATS passwords begin with a letter, as its configuration wants."""
        known: dict[str, str] = self.read("secrets.json") or {}
        wanted = {
            **{f"nats_{user}": "n" + secrets.token_hex(16) for user in (ADMINISTRATOR, *PERMISSIONS)},
            **{f"postgres_{role}": secrets.token_hex(16) for role in ("superuser", *ROLES)},
            "valkey": secrets.token_hex(16),
            "key_peppers": f"1:{secrets.token_hex(32)}",
            "signing_key": secrets.token_hex(32),
            "view_secret": secrets.token_hex(32),
            "litellm_master_key": f"sk-{secrets.token_hex(16)}",
        }
        complete = {**wanted, **known}
        if complete != known:
            self.write("secrets.json", complete)
        return complete

    def server_ports(self, names: tuple[str, ...], *, avoid: set[int]) -> dict[str, int]:
        """Loopback ports of what people need not know; the same as last time unless somebody else has one now."""
        remembered: dict[str, int] = self.read("ports.json") or {}
        chosen = dict(remembered)
        for name in names:
            port = remembered.get(name)
            others = avoid | {number for other, number in chosen.items() if other != name}
            while port is None or port in others or not is_free(port):
                port = free_port()
            chosen[name] = port
        self.write("ports.json", chosen)
        return chosen

    # -- processes of a supervisor that was killed --------------------------------------------------------------------------
    def remember_process(self, name: str, pid: int) -> None:
        """Write down a started process, so that the next supervisor can end it if this one cannot."""
        processes = self.read("processes.json") or {}
        processes[name] = {"pid": pid, "mark": identity.started_at(pid)}
        self.write("processes.json", processes)

    def forget_processes(self) -> None:
        """All have ended."""
        (self.folder / "processes.json").unlink(missing_ok=True)

    def end_orphans(self) -> list[str]:
        """End what a killed supervisor left behind; returns their names. Called by the holder of the lock."""
        processes: dict[str, dict[str, Any]] = self.read("processes.json") or {}
        ended = [name for name, it in reversed(processes.items()) if it["mark"] and identity.end(it["pid"], it["mark"])]
        self.forget_processes()
        return ended
