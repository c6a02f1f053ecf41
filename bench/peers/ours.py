"""Our gateway with everything on: auth, budget holds, events to a real NATS, spool, headers; usage and Postgres beside it.

The whole stack comes up through its own supervisor, as a user would start it, in a fresh state folder; then the gateway is
moved to the system's core and the rest of the stack to the other.
"""

import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.peers.system import Ground, System, Unfit, free_port
from bench.processes import log_tail, pin, running, wait_until_gone

FOREIGN = ("LITELLM", "LITELLM_BASE_URL", "LITELLM_API_KEY", "GATEWAYS")  # would point the stack at another upstream
MONTHLY_TOKENS = 1_000_000_000_000
MONTHLY_COST_NANOUSD = 1_000_000_000_000_000


@dataclass(frozen=True)
class Stack:
    """The running stack, as its supervisor describes it in stack.json."""

    folder: Path
    facts: Mapping[str, Any]

    def pids(self, *, gateway: bool) -> tuple[int, ...]:
        """Process ids of the gateway, or of everything else."""
        found: list[int] = []
        for service, value in self.facts["pids"].items():
            if service.startswith("gateway") is gateway:
                found += value if isinstance(value, list) else [value]
        return tuple(found)

    @property
    def gateway_port(self) -> int:
        """Where the gateway answers."""
        return int(httpx.URL(self.facts["gateway_url"]).port or 80)

    def login(self) -> dict[str, str]:
        """Headers of the demo user, who owns the organization."""
        who = {"email": self.facts["user_email"], "password": self.facts["user_password"]}
        answer = httpx.post(f"{self.facts['accounts_url']}/api/v1/auth/login", json=who, timeout=30, trust_env=False)
        return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}


def _supervisor(ground: Ground, state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN} | {
        "CODEXFLOW_STATE": str(state),
        "UPSTREAM_BASE_URL": ground.upstream_url,
        "OPENAI_API_KEY": "bench",
        "NO_COLOR": "1",
        **{f"{service}_PORT": str(free_port()) for service in ("GATEWAY", "ACCOUNTS", "USAGE")},
    }
    command = [sys.executable, "-m", "devstack", *words]
    log = ground.folder / f"stack-{words[0]}.log"
    with log.open("w") as output:
        return subprocess.run(
            command, cwd=ground.root, env=env, stdout=output, stderr=subprocess.STDOUT, text=True, check=False, timeout=180
        )


@contextlib.contextmanager
def stack(ground: Ground) -> Iterator[Stack]:
    """The stack in a fresh state folder, down again when the block ends. Raises Unfit when it does not come up."""
    state = ground.folder / "stack"
    shutil.rmtree(state, ignore_errors=True)
    try:
        up = _supervisor(ground, state, "up", "--detach")
        if up.returncode != 0:
            raise Unfit(f"our stack did not start: {log_tail(ground.folder / 'stack-up.log', 1500)}")
        found = Stack(state, json.loads((state / "stack.json").read_text()))
        yield found
    finally:
        if (state / "stack.json").exists():
            everything = Stack(state, json.loads((state / "stack.json").read_text()))
            _supervisor(ground, state, "down")
            wait_until_gone(everything.pids(gateway=True) + everything.pids(gateway=False), 15)


def _limit_project(running_stack: Stack) -> None:
    """Monthly limits on tokens and cost that no run reaches, so that every request takes a hold."""
    facts = running_stack.facts
    limits = {"monthly_tokens": MONTHLY_TOKENS, "monthly_cost_nanousd": MONTHLY_COST_NANOUSD}
    url = f"{facts['accounts_url']}/api/v1/projects/{facts['project_id']}"
    answer = httpx.patch(url, json={"limits": limits}, headers=running_stack.login(), timeout=30, trust_env=False)
    if answer.is_error:
        raise Unfit(f"the project's limits could not be set: {answer.status_code} {answer.text[:300]}")


def start(ground: Ground) -> tuple[System, Stack]:
    """Start the stack and lay its processes on the cores. Raises Unfit when it does not come up."""
    found = ground.cleanup.enter_context(stack(ground))
    if ended := [pid for pid in found.pids(gateway=True) + found.pids(gateway=False) if not Path(f"/proc/{pid}").exists()]:
        raise Unfit(f"our stack came up, but some of its processes have ended already: {ended}")
    pin(found.pids(gateway=False), ground.cores.rest)
    pin(found.pids(gateway=True), ground.cores.system)
    try:
        _limit_project(found)
    except httpx.HTTPError as fault:
        raise Unfit(f"our stack's accounts service refused or did not answer: {fault}") from fault
    time.sleep(2)  # for the limits to reach the gateway and for its first grant
    system = System(
        name="ours",
        version=importlib.metadata.version("codexflow"),
        settings="1 worker, everything on: auth, monthly token and cost holds, spool, events to NATS, headers",
        port=found.gateway_port,
        roots=found.pids(gateway=True),
        model="fast",
        headers={"Authorization": f"Bearer {found.facts['api_key']}"},
        warm_up_seconds=2.0,
    )
    return system, found


def seconds_to_ready(ground: Ground, found: Stack, times: int = 3) -> list[float]:
    """How long a further gateway process takes from its start to its first good /readyz, each time anew."""
    return [_one_start(ground, found) for _ in range(times)]


def _one_start(ground: Ground, found: Stack) -> float:
    model, port = found.pids(gateway=True)[0], free_port()
    command, env = _words(model, "cmdline"), dict(word.split("=", 1) for word in _words(model, "environ") if "=" in word)
    env["GATEWAY_PORT"] = str(port)
    log = ground.folder / "gateway-start.log"
    url, began = f"http://127.0.0.1:{port}/readyz", time.monotonic()
    home = Path(f"/proc/{model}/cwd").resolve()
    with running(command, ground.cores.system, log, env, home), httpx.Client(trust_env=False, timeout=2) as client:
        while time.monotonic() < began + 30:
            with contextlib.suppress(httpx.TransportError):
                if client.get(url).status_code == 200:
                    return time.monotonic() - began
            time.sleep(0.01)
    raise Unfit(f"a further gateway process was not ready within 30 s: {log_tail(log)}")


def _words(pid: int, name: str) -> Sequence[str]:
    return [word for word in Path(f"/proc/{pid}/{name}").read_bytes().decode().split("\0") if word]
