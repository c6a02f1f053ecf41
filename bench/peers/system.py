"""What every system under test looks like to the benchmark, and the ground it is started on."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.processes import Cores, log_tail


class Missing(Exception):
    """A tool is not installed; the message says how to get it. The system is left out."""


class Unfit(Exception):
    """A system did not start or answered wrongly; the message says what was seen. Its figures are void."""


@dataclass(frozen=True)
class Ground:
    """Where systems are started: cores, folder for configuration and logs, the mock upstream, what to undo at the end."""

    cores: Cores
    folder: Path
    upstream_port: int
    cleanup: contextlib.ExitStack
    root: Path = field(default_factory=Path.cwd)

    @property
    def upstream_url(self) -> str:
        """Base URL of the mock upstream, as an OpenAI client wants it."""
        return f"http://127.0.0.1:{self.upstream_port}/v1"


@dataclass(frozen=True)
class System:
    """One system, running and ready: where it answers, which processes are its own, how it may be driven."""

    name: str
    version: str
    settings: str
    port: int
    roots: tuple[int, ...]
    path: str = "/v1/chat/completions"
    stream_path: str = "/v1/chat/completions"
    model: str = "bench"
    headers: Mapping[str, str] = field(default_factory=dict)
    end_user: str = ""  # the field `user` of its requests, where it is to have one
    no_streams: str = ""  # why it is measured non-stream only
    connections: int = 32
    stream_connections: int = 256
    warm_up_seconds: float = 2.0

    @property
    def streams(self) -> bool:
        """Whether it takes part in the stream table."""
        return not self.no_streams


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**extra: str) -> dict[str, str]:
    """What a peer needs of our environment (no credentials of ours), and its own settings."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | extra


def wait_ready(url: str, alive: Callable[[], bool], log: Path, seconds: float, name: str) -> None:
    """Wait until a GET answers below 500. Raises Unfit with the end of the log when it does not in time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and alive():
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=2.0, trust_env=False).status_code < 500:
                return
        time.sleep(0.1)
    raise Unfit(f"{name} was not ready within {seconds:.0f} s: {log_tail(log)}")
