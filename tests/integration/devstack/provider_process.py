"""A simulated provider in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

CHAT = "/v1/chat/completions"


@dataclass
class ProviderProcess:
    url: str
    process: "subprocess.Popen[str]"
    client: httpx.Client

    def chat(self, model: str = "sim-fast-1", *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        return self.client.post(CHAT, json=chat_body(model, **fields), headers=headers)

    def rows(self, request_id: str) -> list[dict[str, Any]]:
        return self.client.get("/_sim/requests", params={"request_id": request_id}).json()["data"]

    def row(self, request_id: str) -> dict[str, Any]:
        """The only row with this id, once it has ended."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            (row,) = self.rows(request_id)
            if row["outcome"] != "running":
                return row
            time.sleep(0.02)
        raise AssertionError(f"still running: {row}")


def chat_body(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello, provider!"}], **fields}


@contextmanager
def running_provider(*arguments: str) -> Iterator[ProviderProcess]:
    command = [sys.executable, "-m", "devstack.provider", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().strip().removeprefix("ready: simulated provider on ")
            assert url.startswith("http://"), url
            with httpx.Client(base_url=url, timeout=20) as client:
                yield ProviderProcess(url, process, client)
        finally:
            process.kill()
