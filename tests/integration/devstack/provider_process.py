"""A simulated provider in a process of its own."""

import http.client
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

CHAT = "/v1/chat/completions"
PATIENCE_SECONDS = 60.0


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
        return self._row_when(request_id, lambda row: row["outcome"] != "running")

    def leave(self, request_id: str, model: str, *, fault: str = "") -> None:
        """Ask for a whole answer, and hang up while it is worked on; fails if anything of it has come by then."""
        url = urlsplit(self.url)
        headers = {"x-request-id": request_id, **({"x-sim-fault": fault} if fault else {})}
        with closing(http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("POST", CHAT, json.dumps(chat_body(model)), headers)
            self._row_when(request_id, lambda row: row["prompt_tokens"] > 0)
            assert not select.select([connection.sock], [], [], 0.3)[0], "it was answered"

    def _row_when(self, request_id: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            rows = self.rows(request_id)
            assert len(rows) <= 1
            if rows and true(rows[0]):
                return rows[0]
            time.sleep(0.02)
        raise AssertionError(f"waited in vain for the row; at last: {rows}")


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
            with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
                yield ProviderProcess(url, process, client)
        finally:
            process.kill()
