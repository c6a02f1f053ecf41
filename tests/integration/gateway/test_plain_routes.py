"""The small `/v1` routes on a real socket: bodies that do not come, who asks too often, and what of limits is told."""

import http.client
import json
from datetime import UTC, datetime

import pytest

from common.contracts.directory import Limits
from tests.e2e.running_stack import call, eventually
from tests.integration.gateway.small_gateway import SmallGateway, running

BODY = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.mark.parametrize("begun", [b"", b"{"])
def test_the_body_of_an_estimate_that_never_comes(begun: bytes) -> None:
    """Not at all or not to its end: 408, and its place among the requests in flight is free again."""
    with running(SmallGateway(body_seconds=0.2)) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.putrequest("POST", "/v1/estimate")
        connection.putheader("authorization", f"Bearer {gateway.key}")
        connection.putheader("content-length", "1000")
        connection.endheaders(begun or None)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (408, "request_timeout")
        connection.close()
        eventually(lambda: gateway.hot.in_flight == 0)


def test_an_estimate_whose_body_comes() -> None:
    """It is answered, in pieces or not."""
    with running(SmallGateway()) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.putrequest("POST", "/v1/estimate")
        connection.putheader("authorization", f"Bearer {gateway.key}")
        connection.putheader("content-length", str(len(BODY)))
        connection.endheaders(BODY[:5])
        connection.send(BODY[5:])
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["object"]) == (200, "estimate")
        connection.close()


def test_a_body_that_is_still_awaited_does_not_hold_up_the_end() -> None:
    """Whoever is stopped refuses it once the time to drain is over, and ends."""
    with running(SmallGateway(drain_seconds=0.2)) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.putrequest("POST", "/v1/estimate")
        connection.putheader("authorization", f"Bearer {gateway.key}")
        connection.putheader("content-length", "1000")
        connection.endheaders(b"{")
        eventually(lambda: gateway.hot.in_flight == 1)
        gateway.stop()
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (503, "shutting_down")
        connection.close()


def test_who_sends_wrong_keys_is_told_where_the_limit_stands() -> None:
    """With the members of every limit on requests, and when to come again."""
    with running(SmallGateway(failures_per_minute=3)) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/v1/estimate"
        while (answer := call("POST", url, {}, bearer="sk-cf-wrong")).status == 401:
            pass
    assert answer.status == 429
    error = answer.json["error"]
    assert (error["limit_source"], error["scope"], error["scope_id"]) == ("ip.failures_per_minute", "ip", "127.0.0.1")
    assert (error["limit"], error["held"], error["needed"]) == (3, 0, 1)
    assert error["used"] >= 3
    assert datetime.fromisoformat(error["resets_at"]).tzinfo == UTC
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("method", "path", "kind", "otherwise"),
    [("POST", "estimate", "estimates", 400), ("GET", "requests/r/explain", "explanations", 503)],
)
def test_a_key_may_not_ask_too_often(method: str, path: str, kind: str, otherwise: int) -> None:
    """What goes over the bus is refused beyond a bound of each kind of question, whatever else became of it."""
    with running(SmallGateway(questions_at_once=3)) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/v1"
        answers = [call(method, f"{url}/{path}", b"", bearer=gateway.key)]
        while answers[-1].status == otherwise:
            answers.append(call(method, f"{url}/{path}", b"", bearer=gateway.key))
        assert len(answers) > 3
        error = answers[-1].json["error"]
        assert (answers[-1].status, error["code"], error["limit_source"]) == (
            429,
            "rate_limit_exceeded",
            f"key.{kind}_per_second",
        )
        assert {"scope", "scope_id", "limit", "used", "held", "needed", "resets_at"} <= error.keys()
        assert int(answers[-1].headers["retry-after"]) >= 1


def test_limits_of_the_clients_address_are_told() -> None:
    """By an estimate, which one of them may refuse, and by the quota."""
    limits = Limits(version=1, requests_per_minute=60, tokens_per_minute=10)
    with running(SmallGateway(by_address=limits)) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/v1"
        estimate = call("POST", f"{url}/estimate", BODY, bearer=gateway.key).json
        views = call("GET", f"{url}/quota", bearer=gateway.key).json["rate_limits"]
    assert (estimate["verdict"], estimate["refused_by"]) == ("refused", ["ip.tokens_per_minute"])
    for told in (estimate["limits"], views):
        assert [(view["limit_source"], view["scope_id"], view["limit"]) for view in told] == [
            ("ip.requests_per_minute", "127.0.0.1", 60),
            ("ip.tokens_per_minute", "127.0.0.1", 10),
        ]
