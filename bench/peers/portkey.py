"""Portkey's open-source gateway (npm), warmed up well; non-stream only, because the published package cannot stream here."""

import json
import shutil
import subprocess
from pathlib import Path

from bench.peers.system import Ground, Missing, System, clean_environment, free_port, wait_ready
from bench.processes import is_running, running

LOCK = Path(__file__).parent.parent / "portkey"
NO_STREAMS = "its published package answers every stream request with HTTP 500 (TypeError: immutable)"


def _installed(ground: Ground) -> Path:
    """The package in the build folder, installed from the committed lock without running any install script."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Missing("node and npm are not installed (Portkey's gateway needs them): apt-get install nodejs npm")
    folder = ground.folder / "portkey"
    package = folder / "node_modules/@portkey-ai/gateway"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (LOCK / "package-lock.json").read_text()
    kept = folder / "package-lock.json"
    if package.exists() and kept.exists() and kept.read_text() == wanted:
        return package
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCK / name, folder / name)
    install = [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(install, cwd=folder, check=False, timeout=300).returncode != 0:
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        raise Missing("npm could not install @portkey-ai/gateway into bench/.build/portkey")
    return package


def start(ground: Ground) -> System:
    """Start Portkey's gateway. Raises Missing without node or npm."""
    package = _installed(ground)
    port, log = free_port(), ground.folder / "portkey/out.log"
    command = ["node", str(package / "build/start-server.js"), f"--port={port}", "--headless"]
    env = clean_environment(NODE_ENV="production", TRUSTED_CUSTOM_HOSTS="127.0.0.1,localhost")
    process = ground.cleanup.enter_context(running(command, ground.cores.system, log, env))
    wait_ready(f"http://127.0.0.1:{port}/", lambda: is_running(process), log, 30, "Portkey")
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    return System(
        name="portkey",
        version=f"{json.loads((package / 'package.json').read_text())['version']} (node {node})",
        settings="1 process, NODE_ENV=production, headless, provider openai with a custom host, 6 s warm-up",
        port=port,
        roots=(process.pid,),
        headers={
            "Authorization": "Bearer bench",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": ground.upstream_url,
        },
        no_streams=NO_STREAMS,
        warm_up_seconds=6.0,
    )
