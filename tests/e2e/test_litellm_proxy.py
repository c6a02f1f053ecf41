"""What the gateway relies on in a LiteLLM proxy with litellm-config.example.yaml, in front of the simulated provider."""

import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from common.contracts.events import Usage
from common.contracts.prices import NANOUSD_PER_USD, built_in_book
from devstack.servers.ports import LOOPBACK, free_port
from devstack.servers.process import Process
from devstack.stack import http, litellm
from devstack.stack.environment import inherited
from devstack.stack.settings import read
from gateway.domain.error_answers import fate_of

pytestmark = [pytest.mark.litellm, pytest.mark.timeout(400)]

MASTER_KEY = "sk-only-for-this-test"


@dataclass(frozen=True)
class Proxy:
    """The proxy and the provider behind it."""

    client: httpx.Client
    provider: httpx.Client

    def ask(self, request_id: str, *, fault: str = "", key: str = MASTER_KEY, **body: Any) -> httpx.Response:
        """A chat request as the gateway sends it."""
        headers = {"authorization": f"Bearer {key}", "x-request-id": request_id, "x-codexflow-attempt": "2"}
        if fault:
            headers["x-sim-fault"] = fault
        asked = {"model": "fast", "messages": [{"role": "user", "content": "Say something."}], **body}
        return self.client.post("/v1/chat/completions", json=asked, headers=headers)

    def calls(self, request_id: str) -> list[dict[str, Any]]:
        """What the provider saw of a request."""
        rows: list[dict[str, Any]] = self.provider.get("/_sim/requests", params={"request_id": request_id}).json()["data"]
        return rows


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Both as processes of their own, on free ports."""
    folder = tmp_path_factory.mktemp("litellm")
    provider_port, port = free_port(), free_port()
    provider_url = f"http://{LOOPBACK}:{provider_port}"
    aliases = [part for model in litellm.UPSTREAM_MODELS for part in ("--alias", model)]
    argv = [sys.executable, "-m", "devstack.provider", "--port", str(provider_port), "--pace-ms", "0", *aliases]
    environment = litellm.environment(read({"LITELLM": "1"}), f"{provider_url}/v1", MASTER_KEY)
    provider = Process("provider", argv, folder / "provider.log", env=inherited(""), cwd=folder)
    behind = Process("litellm", litellm.command(port), folder / "litellm.log", env=environment, cwd=folder)
    try:
        provider.start()
        behind.start()
        provider.wait_ready(lambda: http.is_ready(provider_port, "/healthz"), timeout=90)
        behind.wait_ready(lambda: http.is_ready(port, "/health/liveliness"), timeout=120)
        with (
            httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=90) as client,
            httpx.Client(base_url=provider_url, timeout=60) as truth,
        ):
            yield Proxy(client, truth)
        assert "Say something." not in (folder / "litellm.log").read_text(), "the prompt is in LiteLLM's log"
    finally:
        behind.stop(timeout=20)
        provider.stop(timeout=10)


@pytest.fixture
def request_id() -> str:
    """A fresh one."""
    return secrets.token_hex(8)


def test_our_request_id_and_attempt_reach_the_provider(proxy: Proxy, request_id: str) -> None:
    """LiteLLM passes our headers on, so that the provider's calls can be joined with ours."""
    assert proxy.ask(request_id).status_code == 200
    (call,) = proxy.calls(request_id)
    assert (call["request_id"], call["attempt"]) == (request_id, 2)


@pytest.mark.parametrize(("pool", "model"), [("fast", "gpt-4o-mini"), ("deep", "gpt-4o")])
def test_usage_and_cost_agree_with_the_price_book(proxy: Proxy, request_id: str, pool: str, model: str) -> None:
    """The answer names the pool, carries the provider's tokens, and LiteLLM's own cost is what our price book says."""
    answer = proxy.ask(request_id, model=pool)
    usage = answer.json()["usage"]
    (call,) = proxy.calls(request_id)
    assert answer.json()["model"] == pool
    assert call["model"] == model
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (call["prompt_tokens"], call["generated"])
    price = built_in_book().models[pool]
    ours = price.cost(Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"]))
    assert round(float(answer.headers["x-litellm-response-cost"]) * NANOUSD_PER_USD) == pytest.approx(ours, abs=1)


def test_a_stream_carries_usage_but_no_cost_header(proxy: Proxy, request_id: str) -> None:
    """With include_usage the last chunk has the provider's tokens and LiteLLM's cost; its headers come too early for one."""
    answer = proxy.ask(request_id, stream=True, stream_options={"include_usage": True})
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    *chunks, last = map(json.loads, lines[:-1])
    (call,) = proxy.calls(request_id)
    assert not any(chunk.get("usage") for chunk in chunks)
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (call["prompt_tokens"], call["generated"])
    assert last["usage"]["cost"] > 0
    assert "x-litellm-response-cost" not in answer.headers


def test_a_stream_is_not_held_back(proxy: Proxy, request_id: str) -> None:
    """The first chunk is here while the provider still generates."""
    body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 16}
    headers = {"authorization": f"Bearer {MASTER_KEY}", "x-request-id": request_id, "x-sim-fault": "slow:1000"}
    with proxy.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        next(answer.iter_lines())
        assert proxy.calls(request_id)[0]["outcome"] == "running"


def test_a_wrong_key_is_refused(proxy: Proxy, request_id: str) -> None:
    """Without the master key nothing reaches the provider; without a database LiteLLM says 400, not 401."""
    assert proxy.ask(request_id, key="sk-wrong").status_code in (400, 401)
    assert proxy.calls(request_id) == []


@pytest.mark.parametrize(("fault", "status"), [("500", 500), ("429:1", 429)])
def test_failures_come_through_once(proxy: Proxy, request_id: str, fault: str, status: int) -> None:
    """LiteLLM neither retries nor falls back: one call at the provider, its status to us."""
    answer = proxy.ask(request_id, fault=fault, model="deep")
    assert answer.status_code == status
    (call,) = proxy.calls(request_id)
    assert call["model"] == "gpt-4o"
    assert fate_of(status, answer.content) == "unbilled"
    if status == 429:
        assert answer.headers.get("retry-after") or answer.headers["llm_provider-retry-after"] == "1"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_lost_behind_it_is_told_from_an_error(proxy: Proxy, request_id: str, stream: bool) -> None:
    """It is a 500 as well: the words are what the gateway goes by."""
    answer = proxy.ask(request_id, fault="cut:0", stream=stream)
    (call,) = proxy.calls(request_id)
    assert call["generated"] > 0 or stream
    assert (answer.status_code, fate_of(answer.status_code, answer.content)) == (500, "unknown"), answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_a_content_filter_refused_is_told_from_other_refusals(proxy: Proxy, request_id: str, stream: bool) -> None:
    """Of an OpenAI-compatible provider LiteLLM passes on the words, not the code."""
    answer = proxy.ask(request_id, fault="filtered", stream=stream)
    (call,) = proxy.calls(request_id)
    assert (call["prompt_tokens"] > 0, call["generated"]) == (True, 0)
    assert (answer.status_code, fate_of(answer.status_code, answer.content)) == (400, "unknown"), answer.text
    assert fate_of(400, proxy.ask(request_id, model="absent").content) == "unbilled"
