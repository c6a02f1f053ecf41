"""The whole path through a real LiteLLM proxy: client → gateway → LiteLLM → provider, and what was booked of it."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from common.contracts.prices import NANOUSD_PER_USD
from devstack.servers.ports import free_port
from devstack.servers.process import Process
from devstack.stack.environment import inherited
from tests.e2e.running_stack import PATIENT

pytestmark = [pytest.mark.litellm, pytest.mark.timeout(480)]

START_SECONDS = 150
BOOKED_SECONDS = 60
QUESTION = [{"role": "user", "content": "Name three rivers."}]


@dataclass(frozen=True)
class Stack:
    """A running stack with LiteLLM between the gateway and the simulated provider."""

    described: dict[str, Any]

    def client(self) -> openai.OpenAI:
        """The official client, which does not retry, so that one call is one request."""
        return openai.OpenAI(
            base_url=f"{self.described['gateway_url']}/v1", api_key=self.described["api_key"], max_retries=0, timeout=90
        )

    def provider_calls(self, request_id: str) -> list[dict[str, Any]]:
        """What the provider saw of a request."""
        found = httpx.get(f"{self.described['provider_url']}/_sim/requests", params={"request_id": request_id}, timeout=60)
        rows: list[dict[str, Any]] = found.json()["data"]
        return rows

    def booked(self, request_id: str) -> dict[str, Any]:
        """The row that usage has of a request; waits for it. Raises TimeoutError."""
        login = {"email": self.described["user_email"], "password": self.described["user_password"]}
        token = httpx.post(f"{self.described['accounts_url']}/api/v1/auth/login", json=login, timeout=60).json()["access_token"]
        url = f"{self.described['usage_url']}/api/v1/projects/{self.described['project_id']}/requests"
        end = time.monotonic() + BOOKED_SECONDS
        while time.monotonic() < end:
            listed = httpx.get(url, params={"limit": 200}, headers={"authorization": f"Bearer {token}"}, timeout=60)
            assert listed.status_code == 200, listed.text
            for row in listed.json()["data"]:
                if request_id in (row["event_id"], row["request_id"]):
                    found: dict[str, Any] = row
                    return found
            time.sleep(0.1)
        raise TimeoutError(f"request {request_id} was not booked within {BOOKED_SECONDS} s")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`make up LITELLM=1` with a state folder and ports of the test's own."""
    folder = tmp_path_factory.mktemp("stack")
    ports = {name: str(free_port()) for name in ("GATEWAY_PORT", "ACCOUNTS_PORT", "USAGE_PORT")}
    environment = inherited("") | PATIENT | ports | {"LITELLM": "1", "CODEXFLOW_STATE": str(folder / "state"), "NO_COLOR": "1"}
    described = folder / "state/stack.json"
    supervisor = Process("stack", [sys.executable, "-m", "devstack", "up"], folder / "up.log", env=environment)
    supervisor.start()
    try:
        supervisor.wait_ready(
            lambda: described.exists() and "supervisor" in json.loads(described.read_text())["pids"], timeout=START_SECONDS
        )
        yield Stack(json.loads(described.read_text()))
    finally:
        supervisor.stop(timeout=90)


def assert_booked_as_provided(stack: Stack, request_id: str, *, model: str, tokens: tuple[int, int]) -> dict[str, Any]:
    """The provider saw the request once, and what it generated, what the client heard and what is booked are the same."""
    (call,) = stack.provider_calls(request_id)
    row = stack.booked(request_id)
    assert call["model"] == model
    assert (call["prompt_tokens"], call["generated"]) == tokens
    assert (row["prompt_tokens"], row["completion_tokens"]) == tokens
    assert row["usage_source"] == "provider"
    assert row["cost_nanousd"] > 0
    return row


def test_a_whole_answer(stack: Stack) -> None:
    """A request that LiteLLM answered is booked with the provider's tokens, and its own cost stands beside ours."""
    with stack.client() as client:
        raw = client.chat.completions.with_raw_response.create(model="fast", messages=QUESTION, temperature=0.7)
    answer = raw.parse()
    assert answer.usage is not None
    assert answer.choices[0].message.content
    tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    row = assert_booked_as_provided(stack, raw.headers["x-request-id"], model="gpt-4o-mini", tokens=tokens)
    assert row["upstream_cost_nanousd"] == pytest.approx(row["cost_nanousd"], abs=1)
    assert row["cost_nanousd"] < NANOUSD_PER_USD
    assert not row["stream"]


def test_a_stream_with_usage(stack: Stack) -> None:
    """A streamed request of the deep pool is booked with the tokens that the client heard of."""
    with stack.client() as client:
        stream = client.chat.completions.create(
            model="deep", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        request_id = stream.response.headers["x-request-id"]
        chunks = list(stream)
    usage = chunks[-1].usage
    assert usage is not None
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    tokens = (usage.prompt_tokens, usage.completion_tokens)
    row = assert_booked_as_provided(stack, request_id, model="gpt-4o", tokens=tokens)
    assert row["stream"]


def test_a_stream_without_usage(stack: Stack) -> None:
    """A client that did not ask for usage does not hear of it, though LiteLLM reports it; it is booked all the same."""
    with stack.client() as client:
        stream = client.chat.completions.create(model="fast", messages=QUESTION, stream=True)
        request_id = stream.response.headers["x-request-id"]
        chunks = list(stream)
    assert [chunk for chunk in chunks if chunk.usage] == []
    (call,) = stack.provider_calls(request_id)
    assert_booked_as_provided(stack, request_id, model="gpt-4o-mini", tokens=(call["prompt_tokens"], call["generated"]))


def test_what_is_booked_is_what_the_provider_counted(stack: Stack) -> None:
    """At the end, the project's month equals the provider's totals, token for token."""
    totals = httpx.get(f"{stack.described['provider_url']}/_sim/totals", timeout=60).json()
    login = {"email": stack.described["user_email"], "password": stack.described["user_password"]}
    token = httpx.post(f"{stack.described['accounts_url']}/api/v1/auth/login", json=login, timeout=60).json()["access_token"]
    url = f"{stack.described['usage_url']}/api/v1/projects/{stack.described['project_id']}/usage/monthly"
    end = time.monotonic() + BOOKED_SECONDS
    month: dict[str, Any] = {}
    while time.monotonic() < end:
        month = httpx.get(url, headers={"authorization": f"Bearer {token}"}, timeout=60).json()["totals"]
        if month["total_tokens"] == totals["prompt_tokens"] + totals["completion_tokens"]:
            break
        time.sleep(0.1)
    assert (month["prompt_tokens"], month["completion_tokens"]) == (totals["prompt_tokens"], totals["completion_tokens"])
