"""What the key measurements share: bounds on a run, progress, the table and the file of results."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = Path(__file__).parents[1]
RULE = "─" * 100


def say(text: str) -> None:
    """Progress."""
    print(text, flush=True)


def bound_run(seconds: int) -> None:
    """End this process, and with it what it started, when a run takes longer, or when somebody asks for it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _stop_at_signal)
    signal.alarm(seconds)


def _stop_at_signal(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


def show(title: str, rows: Mapping[str, object]) -> None:
    """A table of two columns."""
    print(f"\n{RULE}\n{title}")
    for name, value in rows.items():
        text = "  ".join(f"{key} {figure:,}" for key, figure in value.items()) if isinstance(value, dict) else f"{value}"
        print(f"  {name:<58} {text}")


def write(name: str, results: Mapping[str, Any]) -> None:
    """`bench/<name>.json`, with the load of the machine at the end of the run."""
    file = FOLDER / f"{name}.json"
    everything = {**results, "cores": os.cpu_count(), "load_average": [round(value, 2) for value in os.getloadavg()]}
    file.write_text(json.dumps(everything, indent=2, ensure_ascii=False) + "\n")
    say(f"\nwritten: bench/{file.name}")
