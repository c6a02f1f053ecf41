"""What clients get wrong: keys, bodies, models, paths; each answered in OpenAI's shape, and nothing of it booked as spent."""

import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest

from tests.e2e.harness import Project, World
from tests.e2e.running_stack import Answer, call, eventually

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def project(world: World) -> Project:
    return world.new_project()


def post(world: World, project: Project, body: Any, *, path: str = CHAT, **headers: str) -> Answer:
    return call("POST", f"{world.gateway.url}{path}", body, bearer=project.key, **headers)


def assert_refused(answer: Answer, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object with that code and field, and a request id."""
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert (error["code"], error["param"]) == (code, param), error
    assert error["message"]
    assert error["type"]
    assert len(answer.headers["x-request-id"]) == 36
    return error


def test_every_wrong_key_gets_the_same_401(world: World) -> None:
    """Missing, malformed, unknown, revoked, expired, suspended: one body, so that nothing can be learned from it."""
    revoked, late, suspended = world.new_project(), world.new_project(), world.new_project()
    expired = world.new_key(late.id, expires_at=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())
    world.manage("DELETE", f"/projects/{revoked.id}/keys/{revoked.key_id}")
    world.manage("PATCH", f"/projects/{suspended.id}", {"status": "suspended"})
    url = f"{world.gateway.url}{CHAT}"
    body = {"model": "auto", "messages": MESSAGES}
    for key in (revoked.key, suspended.key, expired.key):
        eventually(lambda key=key: call("POST", url, body, bearer=key).status == 401)
    unknown = late.key[:-20] + "A" * 20
    answers = [
        call("POST", url, body),
        call("POST", url, body, authorization="Basic dXNlcjpwYXNz"),
        call("POST", url, body, authorization="Bearer "),
        call("POST", url, body, authorization="Bearer \xe4\xf6\xfc"),
        call("POST", url, body, bearer="sk-wrong"),
        call("POST", url, body, bearer="sk-" + "x" * 5000),
        call("POST", url, body, bearer=unknown),
        call("POST", url, body, bearer=late.key[:-6] + "000000"),
        call("POST", url, body, bearer=revoked.key),
        call("POST", url, body, bearer=suspended.key),
        call("POST", url, body, bearer=expired.key),
        call("POST", url, b"not even json"),
        call("GET", f"{world.gateway.url}/v1/models", bearer=revoked.key),
        call("GET", f"{world.gateway.url}/v1/nonsense"),
    ]
    for answer in answers:
        assert_refused(answer, 401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert len({answer.body for answer in answers}) == 1


def test_the_sdk_raises_its_own_errors(world: World, project: Project) -> None:
    """The official client recognizes a wrong key, an unknown model and a bad request."""
    with openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model="auto", messages=MESSAGES)
        assert caught.value.code == "invalid_api_key"
    with openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=project.key, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as missing:
            client.chat.completions.create(model="no-such-model", messages=MESSAGES)
        assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
        assert missing.value.request_id
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="auto", messages=[])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"", None),
        (b"\xff\xfe{}", None),
        (b'{"model": "auto", "messages": [{"role": "user", "content": "\xff"}]}', None),
        (b"[" * 100_000, None),
        (b'{"model": "auto", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "messages[0]"),
        (b"null", None),
        (b"[]", None),
        ({"messages": MESSAGES}, "model"),
        ({"model": "auto"}, "messages"),
        ({"model": "", "messages": MESSAGES}, "model"),
        ({"model": 7, "messages": MESSAGES}, "model"),
        ({"model": "auto", "messages": []}, "messages"),
        ({"model": "auto", "messages": "Hello"}, "messages"),
        ({"model": "auto", "messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"model": "auto", "messages": [{"content": "x"}]}, "messages[0]"),
        ({"model": "auto", "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"model": "auto", "messages": [{"role": "user", "content": [{"type": "spell"}]}]}, "messages[0].content[0].type"),
        ({"model": "auto", "messages": MESSAGES, "temperature": "hot"}, "temperature"),
        ({"model": "auto", "messages": MESSAGES, "temperature": 3}, "temperature"),
        ({"model": "auto", "messages": MESSAGES, "stream": "yes"}, "stream"),
        ({"model": "auto", "messages": MESSAGES, "max_tokens": 0}, "max_tokens"),
        ({"model": "auto", "messages": MESSAGES, "max_tokens": 1.5}, "max_tokens"),
        ({"model": "auto", "messages": MESSAGES, "max_completion_tokens": -1}, "max_completion_tokens"),
        ({"model": "auto", "messages": MESSAGES, "n": 0}, "n"),
        ({"model": "auto", "messages": MESSAGES, "n": 10**30}, "n"),
    ],
)
def test_a_bad_body_is_a_400_that_names_the_field(world: World, project: Project, body: Any, param: str | None) -> None:
    """Not JSON, not an object, a missing field, a wrong type or value: never a 500, and the field is named where there is one."""
    answer = post(world, project, body)
    error = assert_refused(answer, 400, answer.json["error"]["code"], param)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "odd",
    [
        b'"tools": "\xff\xfe"',
        b'"metadata": ' + b"[" * 900 + b"]" * 900,
        b'"tools": ' + b"[" * 5000 + b"]" * 5000,
        b'"seed": 1e999',
        b'"seed": NaN',
        b'"user": "\\ud800"',
        b'"stop": "\\ud800"',
        b'"\\ud800": 1',
        b'"stop": "\x00"',
    ],
)
def test_oddities_below_the_fields_we_read_are_no_500(world: World, project: Project, odd: bytes) -> None:
    """What the gateway only passes on is still proper JSON when it reaches a provider, or refused with a 400."""
    for temperature in (b"0", b"1"):
        body = b'{"model": "fast", "messages": [{"role": "user", "content": "odd"}], "temperature": %b, %b}' % (temperature, odd)
        answer = post(world, project, body)
        assert answer.status in (200, 400), (answer.status, answer.body)
        assert len(answer.headers["x-request-id"]) == 36


def test_a_body_over_the_limit_is_a_413(world: World, project: Project) -> None:
    """By its declared length before it is read, and in chunks as soon as the limit is passed; the connection's end is proper."""
    large = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "x" * 400_000}]}).encode()
    assert_refused(post(world, project, large), 413, "request_too_large")
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=60)
    connection.putrequest("POST", CHAT)
    connection.putheader("authorization", f"Bearer {project.key}")
    connection.putheader("content-length", str(10**12))
    connection.endheaders(b"{")
    assert connection.getresponse().status == 413
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=60)
    connection.request(
        "POST",
        CHAT,
        body=iter([b"x" * 10_000] * 40),
        headers={"authorization": f"Bearer {project.key}", "transfer-encoding": "chunked"},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_unknown_models_paths_and_methods(world: World, project: Project) -> None:
    """404 model_not_found, 404 unknown_url and 405, all in OpenAI's shape, under both prefixes."""
    assert_refused(post(world, project, {"model": "gpt-99", "messages": MESSAGES}), 404, "model_not_found", "model")
    for prefix in ("/v1", "/api/v1"):
        url = world.gateway.url + prefix
        assert_refused(call("GET", f"{url}/nonsense", bearer=project.key), 404, "unknown_url")
        assert_refused(call("POST", f"{url}/chat/completions/", {}, bearer=project.key), 404, "unknown_url")
        for method, path, allowed in (("GET", "chat/completions", "POST"), ("DELETE", "models", "GET")):
            answer = call(method, f"{url}/{path}", bearer=project.key)
            assert_refused(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == allowed


def test_both_prefixes_answer(world: World, project: Project) -> None:
    """/api/v1 is /v1, and every answer carries its request's id."""
    body = {"model": "fast", "messages": MESSAGES}
    answers = [post(world, project, body, path=path) for path in (CHAT, f"/api{CHAT}")]
    assert [answer.status for answer in answers] == [200, 200]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
    assert call("GET", f"{world.gateway.url}/api/v1/models", bearer=project.key).json["data"][0]["id"] == "auto"


@pytest.mark.parametrize(
    "field", ["api_base", "base_url", "extra_headers", "api_key", "mock_response", "fallbacks", "aws_region_name"]
)
def test_fields_that_would_steer_the_upstream_are_refused(world: World, project: Project, field: str) -> None:
    """Where a request goes, with which key and at which price is configuration, never a field of the body."""
    body = {"model": "fast", "messages": MESSAGES, field: "http://127.0.0.1:1/"}
    assert_refused(post(world, project, body), 400, "unsupported_parameter", field)


def test_allow_lists_of_project_and_key(world: World) -> None:
    """A model outside either list does not exist for the key, neither to use nor to see; names within both do."""
    narrow = world.new_project(models=["fast", "sim-fast-1"])
    narrower = world.new_key(narrow.id, models=["fast"])
    listed = call("GET", f"{world.gateway.url}/v1/models", bearer=narrower.key).json["data"]
    assert [model["id"] for model in listed] == ["fast"]
    assert post(world, narrower, {"model": "fast", "messages": MESSAGES}).status == 200
    assert post(world, narrow, {"model": "sim-fast-1", "messages": MESSAGES}).status == 200
    for model in ("sim-fast-1", "deep", "auto", "sim-deep-1"):
        assert_refused(post(world, narrower, {"model": model, "messages": MESSAGES}), 404, "model_not_found", "model")
    steered = post(world, narrower, {"model": "fast", "messages": MESSAGES}, x_codexflow_tier="deep")
    assert_refused(steered, 404, "model_not_found", "model")


def test_the_tier_by_length_header_and_policy(world: World, project: Project) -> None:
    """Long prompts of `auto` go to deep, the header overrules the count, the project's policy its default."""

    def tier(who: Project, characters: int, **headers: str) -> str:
        body = {"model": "auto", "messages": [{"role": "user", "content": "ä" * characters}], "max_tokens": 5}
        answer = post(world, who, body, **headers)
        assert answer.status == 200, answer.body
        return answer.headers["x-codexflow-tier"]

    assert tier(project, 7_999) == "fast"
    assert tier(project, 8_000) == "deep"
    assert tier(project, 10, x_codexflow_tier="deep") == "deep"
    assert tier(project, 9_000, x_codexflow_tier=" FAST ") == "fast"
    assert tier(world.new_project(tier={"default_tier": "deep"}), 10) == "deep"
    assert tier(world.new_project(tier={"deep_from_characters": 100}), 100) == "deep"
    refused = post(world, project, {"model": "auto", "messages": MESSAGES}, x_codexflow_tier="medium")
    assert_refused(refused, 400, "invalid_request", "x-codexflow-tier")


def test_header_oddities(world: World, project: Project) -> None:
    """The scheme's case does not matter; a client's own request id, host and forwarding headers change nothing."""
    body = {"model": "fast", "messages": MESSAGES}
    url = f"{world.gateway.url}{CHAT}"
    assert call("POST", url, body, authorization=f"bearer  {project.key} ").status == 200
    answer = call(
        "POST", url, body, bearer=project.key, x_request_id="mine", x_forwarded_for="1.2.3.4", x_sim_fault="500", host="evil"
    )
    assert answer.status == 200
    assert answer.headers["x-request-id"] != "mine"
    (seen,) = world.provider_rows(answer.headers["x-request-id"])
    assert seen["fault"] == ""


def test_errors_of_one_request_do_not_reach_the_books_as_spending(world: World) -> None:
    """After refusals of every kind, the ledger of a project holds what the provider counted and nothing else."""
    project = world.new_project()
    good = [post(world, project, {"model": "fast", "messages": MESSAGES}).headers["x-request-id"] for _ in range(3)]
    for bad in ({"model": "nope", "messages": MESSAGES}, {"model": "fast"}, b"{"):
        assert post(world, project, bad).status in (400, 404)
    assert sorted(world.compare(project, 3)) == sorted(good)
