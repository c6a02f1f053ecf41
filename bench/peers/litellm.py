"""LiteLLM's proxy at its best: one worker, master key, no database, production mode, no logging, no access log."""

import json
import subprocess

from bench.peers.system import Ground, Missing, System, clean_environment, free_port, wait_ready
from bench.processes import is_running, running

MASTER_KEY = "sk-bench-master"
CONFIGURATION = """\
model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: {upstream}
      api_key: bench
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
litellm_settings:
  telemetry: false
  set_verbose: false
  request_timeout: 60
  num_retries: 0
general_settings:
  master_key: {key}
  disable_spend_logs: true
"""
QUIET = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"none": {"class": "logging.NullHandler"}},
    "loggers": {
        name: {"handlers": ["none"], "level": "ERROR", "propagate": False}
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access")
    },
}


def start(ground: Ground) -> System:
    """Start the proxy from its own environment, building that first. Raises Missing when it cannot be built."""
    environment = ground.root / ".venv-litellm"
    made = subprocess.run(["make", ".venv-litellm/.ready"], cwd=ground.root, check=False, timeout=900)
    if made.returncode != 0:
        raise Missing("the LiteLLM environment could not be built: make .venv-litellm/.ready")
    folder, port = ground.folder / "litellm", free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIGURATION.format(upstream=ground.upstream_url, key=MASTER_KEY))
    (folder / "logging.json").write_text(json.dumps(QUIET))
    log = folder / "out.log"
    command = [
        str(environment / "bin/litellm"),
        *("--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port)),
        *("--num_workers", "1", "--telemetry", "False", "--log_config", str(folder / "logging.json")),
    ]
    env = clean_environment(
        LITELLM_MODE="PRODUCTION",
        LITELLM_LOG="ERROR",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_TELEMETRY="False",
        NO_DOCS="True",
        NO_PROXY="127.0.0.1",
    )
    process = ground.cleanup.enter_context(running(command, ground.cores.system, log, env))
    wait_ready(f"http://127.0.0.1:{port}/health/liveliness", lambda: is_running(process), log, 90, "LiteLLM")
    return System(
        name="litellm",
        version=_version(environment),
        settings="1 worker, master key, no database, LITELLM_MODE=PRODUCTION, no callbacks, no access log",
        port=port,
        roots=(process.pid,),
        headers={"Authorization": f"Bearer {MASTER_KEY}"},
        stream_connections=16,
        warm_up_seconds=4.0,
    )


def _version(environment: object) -> str:
    program = f"{environment}/bin/python"
    ask = "from importlib.metadata import version; print(version('litellm'))"
    return subprocess.run([program, "-c", ask], capture_output=True, text=True, check=True, timeout=30).stdout.strip()
