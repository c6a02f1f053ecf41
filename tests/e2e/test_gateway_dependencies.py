"""NATS, Postgres, usage and Valkey killed and brought back: requests go on as far as promised, and nothing of them is lost."""

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from common.contracts.api_keys import make_key, make_lookup
from tests.e2e.harness import Gateway, Project, World, together
from tests.e2e.running_stack import Answer, call, eventually

CAPPED = {"model": "sim-fast-1", "max_tokens": 40}
SEGMENT = 300_000


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of this module's own, to be broken; every test mends what it broke."""
    with World(tmp_path_factory.mktemp("fragile"), GRANT_WAIT_MS="5000") as world:
        yield world


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json.get("error", {}).get("code", "")


def test_without_valkey_there_is_no_cache_and_no_harm(fragile: World) -> None:
    """Killed: every request is answered by the provider, none waits for long; restarted: it is used again."""
    project = fragile.new_project()
    asked = []

    def ask() -> str:
        began = time.monotonic()
        answer = fragile.gateway.chat(project, model="fast", temperature=0, max_tokens=20)
        asked.append(time.monotonic() - began)
        assert answer.status == 200, answer.body
        return answer.headers["x-codexflow-cache"]

    eventually(lambda: ask() == "hit")
    fragile.valkey.kill()
    try:
        first = len(asked)
        assert "hit" not in [ask() for _ in range(30)]
        assert sum(asked[first:]) < 30, "they waited for the cache"
        eventually(lambda: ask() and fragile.gateway.dependencies()["cache"] == "down")
        assert fragile.gateway.dependencies()["status"] == "ready"
    finally:
        fragile.valkey.start()
    eventually(lambda: ask() == "hit")
    fragile.compare(project, len(asked))


def test_without_nats_requests_go_on(fragile: World) -> None:
    """Known keys are answered, unknown ones get 503, events wait in the spool and arrive after the restart; ready all the while."""
    project, limited = fragile.new_project(), fragile.new_project(tokens=10**9)
    gateway = fragile.gateway
    assert gateway.chat(limited, **CAPPED).status == 200
    fragile.nats.kill()
    try:
        answers = together(8, lambda: gateway.chat(project, **CAPPED)) + together(8, lambda: gateway.chat(limited, **CAPPED))
        assert {answer.status for answer in answers} == {200}
        eventually(lambda: gateway.dependencies()["bus"] == "down")
        eventually(lambda: gateway.dependencies()["directory"] == "degraded")
        assert gateway.dependencies()["status"] == "ready"
        assert gateway.metric("codexflow_gateway_spool_backlog_events") >= 16
        unknown = gateway.chat(project.key[:-20] + "A" * 20)
        assert unknown.status in (401, 503)
        never_seen = make_key(make_lookup())
        refused = gateway.chat(never_seen)
        assert code_of(refused) == (503, "directory_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert gateway.chat("sk-nonsense").status == 401
    finally:
        fragile.nats.start()
    fragile.compare(project, 8)
    fragile.compare(limited, 9)
    eventually(lambda: gateway.dependencies()["directory"] == "up")
    eventually(lambda: gateway.chat(never_seen).status == 401)
    eventually(lambda: gateway.metric("codexflow_gateway_spool_backlog_events") == 0)
    later = fragile.new_project()
    assert gateway.chat(later).status == 200


def test_a_gateway_starts_without_nats(fragile: World) -> None:
    """From its last-known-good view: known keys work, revoked ones stay out, expiry and strictness go by the clock."""
    strict = fragile.manage("POST", "/organizations", {"name": "Strict", "max_staleness_seconds": 2})["id"]
    project, impatient = fragile.new_project(), fragile.new_project(organization=strict)
    revoked = fragile.new_key(project.id)
    gateway = fragile.add_gateway()
    eventually(lambda: gateway.chat(impatient).status == 200)
    fragile.manage("DELETE", f"/projects/{project.id}/keys/{revoked.key_id}")
    expiring = fragile.new_key(project.id, expires_at=(datetime.now(UTC) + timedelta(seconds=10)).isoformat())
    eventually(lambda: (gateway.state / "directory").exists() and any((gateway.state / "directory").rglob("fresh")))
    answers: list[int] = []

    def ask(key: Project) -> int:
        answers.append(gateway.chat(key).status)
        return answers[-1]

    eventually(lambda: ask(expiring) == 200)
    assert gateway.stop() == 0
    fragile.nats.kill()
    try:
        gateway.start()
        assert gateway.dependencies()["bus"] == "down"
        assert ask(project) == 200
        assert gateway.chat(revoked).status == 401
        eventually(lambda: code_of(gateway.chat(impatient)) == (503, "directory_unavailable"))
        eventually(lambda: ask(expiring) == 401)
        assert code_of(gateway.chat(make_key(make_lookup()))) == (503, "directory_unavailable")
    finally:
        fragile.nats.start()
    eventually(lambda: gateway.chat(impatient).status == 200)
    eventually(lambda: gateway.chat(make_key(make_lookup())).status == 401)
    fragile.remove_gateway(gateway)
    fragile.compare(project, answers.count(200))


def test_a_gateway_that_never_knew_a_directory_is_not_ready(fragile: World) -> None:
    """Without a view there is nothing to decide on: unready, 503 for every well-formed key; ready once the bus is there."""
    project = fragile.new_project()
    fragile.nats.kill()
    gateway = fragile.add_gateway(start=False).start(ready=False)
    try:
        assert gateway.dependencies()["status"] == "unready"
        assert code_of(gateway.chat(project)) == (503, "directory_unavailable")
    finally:
        fragile.nats.start()
    eventually(lambda: gateway.dependencies()["status"] == "ready")
    assert gateway.chat(project).status == 200
    fragile.remove_gateway(gateway)
    eventually(lambda: fragile.gateway.dependencies()["directory"] == "up")


def test_without_postgres_what_was_granted_can_be_spent(fragile: World) -> None:
    """Unlimited projects and granted budgets go on; spent grants are 503 budget_unavailable, not 429; afterwards all is booked."""
    unlimited, rich, poor = fragile.new_project(), fragile.new_project(tokens=10**9), fragile.new_project(tokens=3000)
    gateway = fragile.gateway
    for project in (unlimited, rich, poor):
        assert gateway.chat(project, **CAPPED).status == 200
        fragile.wait_booked(project, 1)
    answers: list[Answer] = []

    def ask_poor() -> int:
        answers.append(gateway.chat(poor, **CAPPED))
        return answers[-1].status

    fragile.postgres.kill()
    try:
        assert {answer.status for answer in together(10, lambda: gateway.chat(unlimited, **CAPPED))} == {200}
        assert {answer.status for answer in together(10, lambda: gateway.chat(rich, **CAPPED))} == {200}
        while ask_poor() == 200:
            pass
        assert code_of(answers[-1]) == (503, "budget_unavailable")
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert gateway.dependencies()["status"] == "ready"
    finally:
        fragile.postgres.start()
        fragile.wait_ready()
    while ask_poor() == 503:
        time.sleep(0.25)  # of more refusals in a second than that, some are counted without being recorded one by one
    fragile.compare(unlimited, 11)
    fragile.compare(rich, 11)
    rows = fragile.compare(poor, 1 + len(answers)).values()
    assert sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows) <= 3000


def test_without_usage_requests_go_on(fragile: World) -> None:
    """Killed: what was granted is spent and what happened waits on the bus; restarted: it is all booked, once."""
    project = fragile.new_project(tokens=10**9)
    assert fragile.gateway.chat(project, **CAPPED).status == 200
    fragile.wait_booked(project, 1)  # what a killed worker holds comes back only after the ack wait
    fragile.usage.kill()
    try:
        assert {answer.status for answer in together(12, lambda: fragile.gateway.chat(project, **CAPPED))} == {200}
    finally:
        fragile.usage.start()
        fragile.wait_ready()
    fragile.compare(project, 13)


@pytest.mark.parametrize("policy", ["closed", "grace", "open"])
def test_without_usage_the_policy_of_the_project_decides(fragile: World, policy: str) -> None:
    """Past its grant: `closed` refuses, `grace` lets one percent of the limit pass, `open` everything; all of it is booked."""
    limit, gateway = 100_000, fragile.gateway
    project = fragile.new_project(tokens=limit, on_no_grant=policy)
    answers: list[Answer] = []

    words = "word " * 200

    def ask() -> int:
        answers.append(gateway.chat(project, words, **CAPPED))
        return answers[-1].status

    def ask_until_served() -> None:
        while ask() == 503:
            time.sleep(0.25)  # of more refusals in a second than that, some are counted without being recorded one by one
        assert answers[-1].status == 200

    def count_let_pass() -> float:
        return gateway.metric(f'codexflow_gateway_without_grant_total{{policy="{policy}"}}', absent=0)

    at_first = count_let_pass()
    ask_until_served()  # usage may have come back from an earlier test just now
    fragile.wait_booked(project, len(answers))  # what a killed worker holds comes back only after the ack wait

    before = count_let_pass()
    fragile.usage.kill()
    try:
        if policy == "open":
            eventually(lambda: ask() == 200 and count_let_pass() >= before + 20, timeout=120)
        else:
            eventually(lambda: ask() != 200, timeout=120)
            assert code_of(answers[-1]) == (503, "budget_unavailable")
            assert answers[-1].json["error"]["limit_source"] == "project.monthly_tokens"
            body = {"model": "auto", "messages": [{"role": "user", "content": words}], **CAPPED}
            told = call("POST", f"{gateway.url}/v1/estimate", body, bearer=project.key).json
            assert (told["verdict"], told["refused_by"]) == ("unknown", ["project.monthly_tokens"])
        assert (count_let_pass() > before) == (policy != "closed")
    finally:
        fragile.usage.start()
        fragile.wait_ready()
    ask_until_served()
    rows = fragile.compare(project, len(answers))
    let_pass = {request_id: row for request_id, row in rows.items() if row["decision"].get("no_grant")}
    assert {row["decision"]["no_grant"] for row in let_pass.values()} == ({policy} - {"closed"})
    assert len(let_pass) == count_let_pass() - at_first
    if policy == "grace":
        assert 0 < sum(row["prompt_tokens"] + row["completion_tokens"] for row in let_pass.values()) <= limit // 100
    for request_id in list(let_pass)[:1]:
        told = call("GET", f"{gateway.url}/v1/requests/{request_id}/explain", bearer=project.key).json
        assert (told["verdict"], told["budget"]["without_grant"]) == (f"admitted without a grant: policy {policy}", policy)


@contextmanager
def asked_in_vain(fragile: World, project: Project) -> Iterator[Gateway]:
    """A gateway that waits long for grants, has answered one request of the project, and has lost usage; that is back afterwards."""
    patient = fragile.add_gateway(GRANT_WAIT_MS="45000")
    assert patient.chat(project, **CAPPED).status == 200
    fragile.wait_booked(project, 1)  # what a killed worker holds comes back only after the ack wait
    fragile.usage.kill()
    try:
        yield patient
    finally:
        if not fragile.usage.running:
            fragile.usage.start()
        fragile.wait_ready()


def count_waits(gateway: Gateway) -> float:
    return gateway.metric("codexflow_gateway_grant_waits")


def test_a_key_revoked_while_its_budget_is_asked_for(fragile: World) -> None:
    """The grant comes too late: 401, nothing goes to a provider, and the budget is not held."""
    project = fragile.new_project(tokens=10**9)
    with asked_in_vain(fragile, project) as patient, ThreadPoolExecutor(1) as threads:
        waits = count_waits(patient)
        asked = threads.submit(patient.chat, project, model="sim-fast-1", max_tokens=10**7)
        eventually(lambda: count_waits(patient) > waits)
        fragile.manage("DELETE", f"/projects/{project.id}/keys/{project.key_id}")
        eventually(lambda: patient.chat(project).status == 401)
        fragile.usage.start()
        answer = asked.result()
    assert code_of(answer) == (401, "invalid_api_key")
    row = fragile.wait_booked(project, 2)[1]
    assert (row["status"], row["error_code"], row["attempts"]) == ("refused", "invalid_api_key", [])
    fragile.compare(project, 2)
    fragile.remove_gateway(patient)


def test_a_client_that_leaves_while_its_budget_is_asked_for(fragile: World) -> None:
    """It has not been let in: nothing goes to a provider, nothing is held or booked, and its place is free."""
    project = fragile.new_project(tokens=10**9)
    with asked_in_vain(fragile, project) as patient:
        waits = count_waits(patient)
        with closing(http.client.HTTPConnection("127.0.0.1", patient.port, timeout=60)) as client:
            body = {"model": "sim-fast-1", "max_tokens": 10**7, "messages": [{"role": "user", "content": "Hello!"}]}
            headers = {"authorization": f"Bearer {project.key}", "content-type": "application/json"}
            client.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            eventually(lambda: count_waits(patient) > waits)
            assert patient.metric("codexflow_gateway_in_flight") == 1
        eventually(lambda: patient.metric("codexflow_gateway_in_flight") == 0)
    answers = [patient.chat(project, **CAPPED)]
    while answers[-1].status == 503:
        time.sleep(0.25)
        answers.append(patient.chat(project, **CAPPED))
    rows = fragile.compare(project, 1 + len(answers))
    assert sum(len(row["attempts"]) for row in rows.values()) == 2
    quota = call("GET", f"{patient.url}/v1/quota", bearer=project.key).json["data"][0]
    assert quota["this_gateway"]["held_tokens"] == 0
    fragile.remove_gateway(patient)


def test_a_full_spool_refuses_and_recovers(fragile: World) -> None:
    """While the bus is away and the allowance is used up: 503 spool_full, cache hits too; afterwards nothing is missing."""
    project = fragile.new_project(tokens=10**9)
    small = fragile.add_gateway(SPOOL_SEGMENT_BYTES=str(SEGMENT), SPOOL_MAX_BYTES=str(2 * SEGMENT))
    exact = {"model": "fast", "temperature": 0, "max_tokens": 20}
    assert small.chat(project, **exact).status == 200
    fragile.nats.kill()
    try:
        admitted = 1 + _until_full(small, project.key)
        refused = small.chat(project, **CAPPED)
        assert code_of(refused) == (503, "spool_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert code_of(small.chat(project, **exact)) == (503, "spool_full")
        eventually(lambda: small.dependencies()["spool"] == "down")
        assert small.dependencies()["status"] == "unready"
    finally:
        fragile.nats.start()
    eventually(lambda: small.chat(project, **CAPPED).status == 200)
    fragile.compare(project, admitted + 1)
    assert "Traceback" not in small.process.log.read_text()
    fragile.remove_gateway(small)


def _until_full(gateway: Gateway, key: str) -> int:
    """Ask, eight at a time and then one by one, until the spool is full; how many were admitted."""
    admitted = 0
    for count in (8, 1):
        refused: list[Answer] = []
        while not refused:
            answers = together(count, lambda: gateway.chat(key, **CAPPED))
            refused = [answer for answer in answers if answer.status != 200]
            admitted += len(answers) - len(refused)
            assert {code_of(answer) for answer in refused} <= {(503, "spool_full")}
            assert admitted < 5000
    return admitted
