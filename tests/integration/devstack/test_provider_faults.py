"""Each fault of the simulated provider, and what its ledger says about it."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from devstack.provider.tokens import count_tokens
from tests.integration.devstack.provider_process import CHAT, ProviderProcess, chat_body, running_provider

USAGE = {"include_usage": True}


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderProcess]:
    with running_provider("--pace-ms", "0") as running:
        yield running


@pytest.fixture
def request_id() -> str:
    return str(uuid.uuid4())


def asking(request_id: str, fault: str) -> dict[str, str]:
    return {"x-request-id": request_id, "x-sim-fault": fault}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status"), [("429:7", 429), ("500", 500), ("503", 503), ("big-error", 500), ("status:524", 524), ("lost", 500)]
)
def test_errors(provider: ProviderProcess, request_id: str, fault: str, status: int, stream: bool):
    """An injected error is one before anything is generated, and is not billed."""
    answer = provider.chat(headers=asking(request_id, fault), stream=stream)
    assert answer.status_code == status
    assert "message" in answer.json()["error"]
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    if fault == "big-error":
        assert len(answer.content) > 10_000_000
    row = provider.row(request_id)
    assert (row["outcome"], row["prompt_tokens"], row["generated"], row["reported"]) == ("refused", 0, 0, None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_filtered_prompt_is_billed(provider: ProviderProcess, request_id: str, stream: bool):
    """It is refused as Azure does, and nothing is generated."""
    answer = provider.chat(headers=asking(request_id, "filtered"), stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter")
    row = provider.row(request_id)
    assert (row["outcome"], row["prompt_tokens"] > 0, row["generated"], row["reported"]) == ("refused", True, 0, None)


def test_first_calls_only(provider: ProviderProcess, request_id: str):
    """A fault for the first n calls of a request lets its retries succeed."""
    statuses = [provider.chat("sim-fault-first.2.500", headers={"x-request-id": request_id}).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    assert [row["outcome"] for row in provider.rows(request_id)] == ["refused", "refused", "answered"]


def test_hang_lasts_until_the_client_leaves(provider: ProviderProcess, request_id: str):
    """Nothing is answered; the prompt is billed and nothing generated."""
    provider.leave(request_id, "sim-fault-hang")
    row = provider.row(request_id)
    assert row["outcome"] == "client_left"
    assert row["prompt_tokens"] > 0
    assert row["generated"] == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["slow-first-token:300", "slow:15"])
def test_slowness(provider: ProviderProcess, request_id: str, fault: str, stream: bool):
    """Slow answers take their time and are complete."""
    began = time.monotonic()
    answer = provider.chat("sim-length-20", headers=asking(request_id, fault), stream=stream)
    assert time.monotonic() - began >= 0.28
    assert answer.status_code == 200
    assert provider.row(request_id)["sent"] == 20


def test_cut_stream(provider: ProviderProcess, request_id: str):
    """The connection ends after n chunks, without an end of the body; what was sent was sent."""
    received = ""
    with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 -- the error comes while reading
        headers = asking(request_id, "cut:4")
        with provider.client.stream("POST", CHAT, json=chat_body("sim-fast-1", stream=True), headers=headers) as answer:
            for text in answer.iter_text():
                received += text
    assert received.count("data: ") == 4
    row = provider.row(request_id)
    assert (row["outcome"], row["sent"], row["generated"], row["reported"]) == ("cut", 3, 4, None)


def test_cut_answer(provider: ProviderProcess, request_id: str):
    """Half of the body arrives; everything was generated and is billed, nothing was reported."""
    with pytest.raises(httpx.RemoteProtocolError):
        provider.chat(headers=asking(request_id, "cut"))
    row = provider.row(request_id)
    assert (row["outcome"], row["finished"], row["reported"]) == ("cut", False, None)
    assert row["generated"] >= 20


def test_no_done(provider: ProviderProcess, request_id: str):
    """The stream ends properly but for its last word."""
    text = provider.chat(headers=asking(request_id, "no-done"), stream=True).text
    assert "[DONE]" not in text
    assert '"finish_reason":"stop"' in text


def test_malformed(provider: ProviderProcess, request_id: str):
    """A whole answer is not JSON, a stream has one event that is not."""
    with pytest.raises(json.JSONDecodeError):
        provider.chat(headers=asking(request_id, "malformed")).json()
    assert provider.row(request_id)["reported"] is None
    broken = 0
    for line in provider.chat("sim-fault-malformed", stream=True).text.split("\n\n")[:-2]:
        try:
            json.loads(line.removeprefix("data: "))
        except json.JSONDecodeError:
            broken += 1
    assert broken == 1


@pytest.mark.parametrize("stream", [False, True])
def test_usage_may_be_missing_empty_or_zero(provider: ProviderProcess, stream: bool):
    """The client is told nothing, or nonsense; the ledger keeps what was generated beside what was said."""
    fields = {"stream": True, "stream_options": USAGE} if stream else {}
    for fault, reported in [
        ("missing-usage", None),
        ("empty-usage", None),
        ("zero-usage", {"prompt_tokens": 0, "completion_tokens": 0}),
    ]:
        request_id = str(uuid.uuid4())
        text = provider.chat(headers=asking(request_id, fault), **fields).text
        assert ('"total_tokens":0' in text) == (fault == "zero-usage")
        assert ('"usage":{}' in text) == (fault == "empty-usage")
        row = provider.row(request_id)
        assert row["reported"] == reported
        assert row["generated"] == row["sent"] >= 20


@pytest.mark.parametrize("stream", [False, True])
def test_wrong_type_and_empty(provider: ProviderProcess, stream: bool):
    """A page instead of an answer, or nothing: generated and billed, not delivered."""
    for fault in ("wrong-type", "empty"):
        request_id = str(uuid.uuid4())
        answer = provider.chat(headers=asking(request_id, fault), stream=stream)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html") == (fault == "wrong-type")
        assert (answer.content == b"") == (fault == "empty")
        row = provider.row(request_id)
        assert row["generated"] >= 20
        assert row["sent"] == 0


def test_split_bytes(provider: ProviderProcess, request_id: str):
    """Bytes come one by one, with CRLF line ends, across letters of several bytes; together they are the answer."""
    content = ""
    text = provider.chat(headers=asking(request_id, "split"), stream=True).text
    for event in text.split("\r\n\r\n")[:-2]:
        content += json.loads(event.removeprefix("data: "))["choices"][0]["delta"].get("content", "")
    assert content == provider.chat().json()["choices"][0]["message"]["content"]
    assert len(content.encode()) > len(content)
    assert provider.row(request_id)["sent"] == count_tokens(content)


@pytest.mark.parametrize("padding", [0, 300_000])
def test_generation_stops_when_the_client_leaves(provider: ProviderProcess, request_id: str, padding: int):
    """The row keeps what was generated until then, also after a request large enough to have paused reading."""
    messages = [{"role": "user", "content": "x" * padding}]
    body = chat_body("sim-length-5000", stream=True, messages=messages)
    with provider.client.stream("POST", CHAT, json=body, headers=asking(request_id, "slow:25")) as answer:
        chunks = answer.iter_raw()
        for _ in range(10):
            next(chunks)
    row = provider.row(request_id)
    assert (row["outcome"], row["finished"], row["reported"]) == ("client_left", False, None)
    assert 5 <= row["sent"] <= row["generated"] < 1000


def test_the_file_tells_the_truth_after_a_kill(tmp_path: Path):
    """A killed provider's rows are there when it starts again with the same file."""
    file = tmp_path / "ledger.jsonl"
    with running_provider("--pace-ms", "0", "--ledger", str(file)) as provider:
        whole = provider.chat(headers={"x-request-id": "whole"}).json()["usage"]
        provider.leave("open", "sim-length-9000", fault="slow:100")
        assert provider.row("open")["outcome"] == "client_left"
        with provider.client.stream(
            "POST", CHAT, json=chat_body("sim-fast-1", stream=True), headers=asking("killed", "slow:1000")
        ) as answer:
            chunks = answer.iter_raw()  # dropping it would close the connection
            next(chunks)
            provider.process.kill()
            provider.process.wait(timeout=30)
    with running_provider("--ledger", str(file)) as provider:
        outcomes = {row["request_id"]: row["outcome"] for row in provider.client.get("/_sim/requests").json()["data"]}
        assert outcomes == {"whole": "answered", "open": "client_left", "killed": "killed"}
        totals = provider.client.get("/_sim/totals").json()
        assert totals["prompt_tokens"] == 3 * whole["prompt_tokens"]
