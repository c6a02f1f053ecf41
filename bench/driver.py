"""Runs the compiled load generator against one system and measures the CPU time that the system spent meanwhile."""

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.build import compiled
from bench.peers.system import Ground, System, Unfit
from bench.processes import core_busy_seconds, cpu_seconds

NEEDLE = '"total_tokens":202'
EVENTS = 23
SETTLE_SECONDS = 0.2
LONGEST_SECONDS = 120
PROMPT = "Say in a few sentences why a benchmark on loopback shows less than its numbers suggest, and what it does show. " * 6


class Load(msgspec.Struct, frozen=True):
    """What the load generator reports: counts, rates in the window, latencies in milliseconds."""

    ok: int
    errors: int
    seconds: float
    rps: float
    chunks: int
    chunks_s: float
    p50_ms: float
    p99_ms: float
    mean_ms: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    reconnects: int
    backlog_most: int
    first_error: str


@dataclass(frozen=True)
class Cell:
    """One system driven once: the load's report and the CPU seconds of the system's processes, until shortly after the end."""

    load: Load
    cpu: float
    foreign: float
    """Share of the system's core that others took meanwhile."""


@dataclass
class Driver:
    """Drives systems, and keeps count of every answer that was accepted, per system; of ours, of all that are booked."""

    ground: Ground
    accepted: dict[str, int] = field(default_factory=dict)
    seed: int = 0

    def closed_loop(self, system: System, *, stream: bool, connections: int, seconds: float) -> Cell:
        """Every connection asks again as soon as it was answered."""
        return self._drive(system, stream, ["--connections", str(connections), "--seconds", str(seconds)])

    def open_loop(self, system: System, *, stream: bool, rate: float, seconds: float) -> Cell:
        """Poisson arrivals; latency counts from the scheduled time."""
        self.seed += 1
        options = [
            "--connections",
            "512" if stream else "128",
            "--rate",
            f"{rate:.3f}",
            "--seed",
            str(self.seed),
            "--seconds",
            str(seconds),
        ]
        return self._drive(system, stream, options)

    def _drive(self, system: System, stream: bool, options: list[str]) -> Cell:  # noqa: FBT001 - private, two callers above
        core = self.ground.cores.system
        before, busy, began = cpu_seconds(system.roots), core_busy_seconds(core), time.monotonic()
        load = self._load(system, stream, options)
        self.accepted[system.name] = self.accepted.get(system.name, 0) + load.ok
        if load.errors or not load.ok:
            raise Unfit(f"{system.name}: {load.errors} bad answers beside {load.ok} good ones; first: {load.first_error}")
        time.sleep(SETTLE_SECONDS)
        cpu, busy = cpu_seconds(system.roots) - before, core_busy_seconds(core) - busy
        return Cell(load, cpu, foreign=max(0.0, busy - cpu) / (time.monotonic() - began))

    def _load(self, system: System, stream: bool, options: list[str]) -> Load:  # noqa: FBT001 - private, one caller above
        body, headers = write_request(self.ground.folder / "load", system, stream=stream)
        command = [str(compiled("load")), "--port", str(system.port), "--path", system.stream_path if stream else system.path]
        command += ["--body", str(body), "--headers", str(headers), "--needle", NEEDLE, *options]
        command += ["--stream", "--events", str(EVENTS)] if stream else []
        pinned = ["taskset", "-c", str(self.ground.cores.rest), *command]
        done = subprocess.run(pinned, capture_output=True, check=False, timeout=LONGEST_SECONDS)
        if done.returncode != 0:
            raise Unfit(f"the load generator failed: {done.stderr.decode(errors='replace')[:300]}")
        return msgspec.json.decode(done.stdout, type=Load)


def request_body(model: str, *, stream: bool, end_user: str = "") -> dict[str, object]:
    """A chat request of an everyday size; no temperature, so that no response cache may answer it."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "system", "content": "You answer briefly."}, {"role": "user", "content": PROMPT}],
        "max_tokens": 100,
    }
    if end_user:
        body["user"] = end_user
    return body | {"stream": True, "stream_options": {"include_usage": True}} if stream else body


def write_request(folder: Path, system: System, *, stream: bool) -> tuple[Path, Path]:
    """Files with the body and the headers for the load generator; headers hold a key, so only we may read them."""
    folder.mkdir(parents=True, exist_ok=True)
    body, headers = folder / f"{system.name}-{'stream' if stream else 'once'}.json", folder / f"{system.name}.headers"
    body.write_text(json.dumps(request_body(system.model, stream=stream, end_user=system.end_user), separators=(",", ":")))
    headers.touch(mode=0o600)
    headers.write_text(header_lines(system.headers))
    return body, headers


def header_lines(headers: Mapping[str, str]) -> str:
    """One `name: value` a line."""
    return "".join(f"{name}: {value}\n" for name, value in headers.items())
