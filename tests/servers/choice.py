"""Which servers a run uses: TEST_SERVERS=auto (containers if engine and images are there, never pulled) | docker | embedded."""

import os
import socket
from dataclasses import dataclass
from functools import lru_cache

MODES = ("auto", "docker", "embedded")


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why, for the run's header."""

    containers: bool
    reason: str


@lru_cache(maxsize=1)
def choose() -> Choice:
    """Asks the engine at most once. With TEST_SERVERS=docker it raises rather than fall back."""
    mode = os.environ.get("TEST_SERVERS", "auto")
    if mode not in MODES:
        raise ValueError(f"TEST_SERVERS is {mode!r}; choose one of {', '.join(MODES)}")
    if mode == "embedded":
        return Choice(containers=False, reason="TEST_SERVERS=embedded")
    problem = _why_not()
    if problem and mode == "docker":
        raise RuntimeError(f"TEST_SERVERS=docker, but {problem}")
    return Choice(containers=not problem, reason=problem or "an engine answers and has the images")


def _why_not() -> str | None:
    if not _engine_listens():
        return "no container engine answers"
    import docker
    import docker.errors

    from tests.servers.containers import images_missing

    try:
        client = docker.from_env(timeout=20)
    except docker.errors.DockerException:
        return "no container engine answers"
    try:
        missing = images_missing(client)
    except docker.errors.DockerException as problem:
        return f"the container engine does not work: {problem}"
    finally:
        client.close()
    return f"the engine lacks {', '.join(missing)}" if missing else None


def _engine_listens() -> bool:
    """Asked before the engine's client is made: that one leaves its socket open when nobody answers."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(host.removeprefix("unix://")) == 0
