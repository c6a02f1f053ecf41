"""What every server has in common: start, stop, kill and restart on the same port and data."""

import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from devstack.servers.ports import LOOPBACK, free_port
from devstack.servers.process import StartFailed


class Runner(Protocol):
    """What runs the server: a process of ours, or a container with the same data after a restart."""

    def start(self) -> None: ...
    def stop(self) -> object: ...
    def kill(self) -> None: ...
    @property
    def running(self) -> bool: ...


RunnerT = TypeVar("RunnerT", bound=Runner)


class Server(ABC, Generic[RunnerT]):
    """A server in a folder of its own. Also a context manager: started on entry, stopped at the end."""

    name: str
    host = LOOPBACK

    def __init__(self, folder: Path, *, port: int = 0, log: Path | None = None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.log = log or folder / "log"
        self.port = port or free_port()
        self._runner: RunnerT | None = None

    @abstractmethod
    def _make_runner(self) -> RunnerT:
        """Write configuration and data if they are missing, and say how to run the server."""

    @abstractmethod
    def is_ready(self) -> bool:
        """It answers clients now; asked again and again while it starts."""

    @abstractmethod
    def _wait(self) -> None:
        """Until ready. Raises StartFailed with the tail of the log."""

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self._runner is not None and self._runner.running

    def start(self) -> Self:
        """Start and wait until it is ready. Raises StartFailed."""
        self._runner = self._runner or self._make_runner()
        self._runner.start()
        try:
            self._wait()
        except StartFailed:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """A graceful end; nothing happens when it does not run."""
        if self._runner:
            self._runner.stop()

    def kill(self) -> None:
        """SIGKILL: as if the machine's memory had been lost, not its disk."""
        if self._runner:
            self._runner.kill()

    def restart(self) -> None:
        """Stop if it runs, then start on the same port and data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def answers(port: int, *, said: bytes, begins: tuple[bytes, ...]) -> bool:
    """Something on that loopback port answers what was said with one of these beginnings."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.settimeout(1)
            if said:
                connection.sendall(said)
            return connection.recv(64).startswith(begins)
    except OSError:
        return False
