"""`make up` as a user meets it: everything starts, the examples work, the books are right, the door closes."""

import asyncio
import datetime as dt
import os
import stat
import subprocess

import openai
import pytest

from devstack.stack.settings import CHECKOUT
from tests.e2e.running_stack import call, eventually


@pytest.fixture
def client(stack):
    """An OpenAI client with the seeded key."""
    with openai.OpenAI(base_url=f"{stack.gateway}/v1", api_key=stack.api_key, max_retries=0) as made:
        yield made


def test_it_prints_what_a_user_needs(stack):
    """URLs, the key on the first seed, a curl and a Python example of five lines; no colour codes outside a terminal."""
    printed = stack.printed
    for expected in (f"{stack.gateway}/v1", stack.accounts, stack.usage, stack.api_key, "curl ", "import json, openai"):
        assert expected in printed
    assert "\033[" not in printed


def test_the_state_folder_is_private_and_complete(stack):
    """stack.json is 0600 and has what scripts need; the processes it names are alive."""
    described = stack.described
    assert stat.S_IMODE((stack.state / "stack.json").stat().st_mode) == 0o600
    wanted = {"gateway_url", "accounts_url", "usage_url", "provider_url", "api_key", "organization_id", "project_id"}
    assert wanted | {"user_email", "user_password", "gateway_urls", "pids", "ready_seconds"} <= described.keys()
    parts = {"gateway", "accounts", "usage", "provider", "nats", "postgres", "valkey", "supervisor"}
    assert parts == described["pids"].keys()
    for pid in described["pids"].values():
        os.kill(pid, 0)
    assert (described["user_email"], described["user_password"]) == ("test@codexflow.dev", "password")


def test_the_printed_examples_work_when_pasted(stack, tmp_path):
    """The curl answers a chat completion, and so does the Python example."""
    printed = stack.printed
    curl = printed[printed.index("curl -s") :].split("\n\n")[0]
    done = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=90)
    assert '"chat.completion"' in done.stdout, done.stdout + done.stderr
    python = printed[printed.index("import json, openai") :].split("\n\n")[0]
    assert len(python.splitlines()) == 5
    script = tmp_path / "example.py"
    script.write_text(python)
    done = subprocess.run([CHECKOUT / ".venv/bin/python", script], capture_output=True, text=True, timeout=120, env=stack.env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_status_says_that_all_are_ready(stack):
    """`make status` exits 0 and lists every part."""
    done = stack.make("status")
    assert done.returncode == 0, done.stdout
    assert "NOT READY" not in done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} >= stack.described["pids"].keys()


def test_the_sdk_answers_synchronously(client):
    """A chat completion through the official client, with usage."""
    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Say something."}])
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


async def test_the_sdk_answers_asynchronously(stack):
    """Several at once through the asynchronous client, under /api/v1 as well as /v1."""
    urls = [f"{stack.gateway}/v1", f"{stack.gateway}/api/v1"] * 3
    clients = [openai.AsyncOpenAI(base_url=url, api_key=stack.api_key, max_retries=0) for url in urls]
    try:
        asked = (
            made.chat.completions.create(model="fast", messages=[{"role": "user", "content": f"Number {number}"}])
            for number, made in enumerate(clients)
        )
        answers = await asyncio.gather(*asked)
    finally:
        await asyncio.gather(*(made.close() for made in clients))
    assert all(answer.choices[0].message.content for answer in answers)


def test_the_sdk_streams_and_includes_usage_when_asked(client):
    """Chunks add up to an answer; usage comes last when it was asked for, and not otherwise."""
    messages = [{"role": "user", "content": "Stream something."}]
    with client.chat.completions.create(model="deep", messages=messages, stream=True) as stream:
        plain = list(stream)
    assert len(plain) > 2
    assert all(chunk.usage is None for chunk in plain)
    options = {"include_usage": True}
    with client.chat.completions.create(model="deep", messages=messages, stream=True, stream_options=options) as stream:
        counted = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in counted if chunk.choices)
    assert counted[-1].usage.completion_tokens > 0
    assert counted[-1].choices == []


def test_models_lists_what_the_key_may_use(client):
    """The tiers and the named models."""
    listed = {model.id for model in client.models.list()}
    assert {"auto", "fast", "deep", "sim-fast-1", "sim-deep-1"} <= listed


def test_accounts_from_organization_to_revoked_key(stack):
    """Log in, create organization, project with limits and key; use it, list it without its secret, revoke it: 401."""
    organization = stack.manage("POST", "/organizations", {"name": "Another organization"}, expect=201)
    limits = {"monthly_tokens": 100_000, "monthly_cost_nanousd": 5_000_000_000}
    project = stack.manage(
        "POST", f"/organizations/{organization['id']}/projects", {"name": "Its project", "limits": limits}, expect=201
    )
    keys = f"/projects/{project['id']}/keys"
    issued = stack.manage("POST", keys, {"name": "Its key"}, expect=201)
    assert eventually(lambda: stack.chat(key=issued["key"]).status == 200)
    listed = stack.manage("GET", keys)
    assert [key["id"] for key in listed["data"]] == [issued["id"]]
    assert issued["key"] not in str(listed)
    stack.manage("DELETE", f"{keys}/{issued['id']}")
    refused = eventually(lambda: (answer := stack.chat(key=issued["key"])).status == 401 and answer)
    assert refused.json["error"]["type"] == "invalid_request_error" or refused.json["error"]["code"]


def test_usage_shows_the_requests(stack):
    """Daily and monthly reports have the requests of a fresh project: tokens, cost, latency, cache hits, errors."""
    project, key = stack.new_project("Reported", limits={"monthly_tokens": 1_000_000})
    eventually(lambda: stack.chat("first", key=key, model="sim-fast-1").status == 200)
    tokens = 0
    for content in ("second", "third"):
        answer = stack.chat(content, key=key, model="sim-fast-1")
        assert answer.status == 200, answer.body
        tokens += answer.json["usage"]["total_tokens"]
    today = dt.datetime.now(dt.UTC).date()
    path = f"/projects/{project}/usage/daily?from={today}&to={today}"

    def row():
        data = stack.report(path)["data"]
        return data and data[0]["requests"] >= 3 and data[0]

    found = eventually(row)
    assert found["total_tokens"] == found["prompt_tokens"] + found["completion_tokens"] > tokens
    assert found["cost_nanousd"] > 0
    assert found["errors"] == 0
    assert 0 < found["latency_p50_ms"] <= found["latency_p95_ms"] <= found["latency_p99_ms"]
    monthly = stack.report(f"/projects/{project}/usage/monthly?month={today:%Y-%m}")
    assert str(found["total_tokens"]) in str(monthly)
    requests = stack.report(f"/projects/{project}/requests")
    assert len(requests["data"]) == 3


def test_the_provider_counts_what_the_gateway_reported(stack):
    """The simulated provider's own count of a model grows by what the answer said."""
    before = call("GET", f"{stack.provider}/_sim/totals").json
    answer = stack.chat("count me", model="sim-deep-2", temperature=1).json
    after = call("GET", f"{stack.provider}/_sim/totals").json
    assert after["completion_tokens"] - before["completion_tokens"] == answer["usage"]["completion_tokens"]


def test_logs_are_found_by_service(stack):
    """`make logs SERVICE=gateway` prints something; an unknown name is answered with the known ones. No key in any log."""
    assert stack.make("logs", "SERVICE=nats").stdout.strip()
    unknown = stack.make("logs", "SERVICE=nobody")
    assert unknown.returncode != 0
    assert "gateway" in unknown.stderr
    for log in (stack.state / "logs").iterdir():
        assert stack.api_key not in log.read_text()
