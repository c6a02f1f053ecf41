"""Reading a chat request: what is wrong is named, what could steer an upstream is refused, the rest goes on as written."""

import json

import pytest

from gateway.domain import chat_request
from gateway.domain.refusals import BadRequest

GOOD = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "emperor", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": "hello"}, "messages"),
        ({"model": 3}, "model"),
        ({"model": None}, "model"),
        ({"messages": [{"role": "emperor", "content": "x", "images": []}]}, "messages[0].role"),
        ({"functions": "f"}, "functions"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1e400}, None),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"temperature": 5}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"api_base": "http://169.254.169.254/"}, "api_base"),
        ({"fallbacks": ["gpt-9"]}, "fallbacks"),
        ({"aws_region_name": "x"}, "aws_region_name"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "auto"}, "service_tier"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"service_tier": 1}, "service_tier"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], param: str | None) -> None:
    """The refusal's `param` is the path of the field."""
    with pytest.raises(BadRequest) as refused:
        chat_request.read(json.dumps({**GOOD, **change}).encode())
    assert refused.value.param == param
    assert refused.value.status == 400


@pytest.mark.parametrize("tier", [None, "default", "flex"])
def test_service_tiers_that_cost_no_more_go_through(tier: str | None) -> None:
    """The price book covers them; a dearer one is refused, because budget and ledger would not know of it."""
    request, _ = chat_request.read(json.dumps({**GOOD, "service_tier": tier}).encode())
    assert request.service_tier == tier


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    """Required fields are named when they are not there."""
    body = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(BadRequest) as refused:
        chat_request.read(json.dumps(body).encode())
    assert refused.value.param == missing


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'{"model": "fast", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "fast", "messages": NaN}',
        b'{"model":"fast","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": "fast\xff", "messages": []}',
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    """Whatever arrives: a 400, not a crash."""
    with pytest.raises(BadRequest):
        chat_request.read(body)


def test_of_duplicate_keys_the_last_one_counts_for_both() -> None:
    """What we price is what the upstream gets."""
    request, fields = chat_request.read(b'{"model":"deep","max_tokens":1,"max_tokens":9,' + json.dumps(GOOD).encode()[1:])
    body = json.loads(chat_request.body_for(fields, request, model=b'"m"', cap_field="max_tokens", cap=None))
    assert (request.max_tokens, body["max_tokens"], body["model"]) == (9, 9, "m")


def test_the_body_for_an_upstream_keeps_what_we_do_not_know() -> None:
    """Unknown fields and exact numbers survive; a stream is asked for usage; a missing cap is enforced."""
    raw = b'{"model":"fast","messages":[{"role":"user","content":"hi","own":1}],"stream":true,"top_p":0.10,"seed":12345678901234567890}'
    request, fields = chat_request.read(raw)
    body = chat_request.body_for(fields, request, model=b'"m"', cap_field="max_completion_tokens", cap=77)
    assert b'"top_p":0.10' in body
    assert b'"seed":12345678901234567890' in body
    assert b'"own":1' in body
    assert json.loads(body)["stream_options"] == {"include_usage": True}
    assert json.loads(body)["max_completion_tokens"] == 77


@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("obeyed", ["max_tokens", "max_completion_tokens"])
def test_a_cap_that_must_hold_is_said_in_the_field_that_the_upstream_obeys(own: str, obeyed: str) -> None:
    """And in no other: an upstream that knows only one of them would not be held to anything."""
    request, fields = chat_request.read(json.dumps({**GOOD, own: 9}).encode())
    body = json.loads(chat_request.body_for(fields, request, model=b'"m"', cap_field=obeyed, cap=request.output_cap))
    assert {name: value for name, value in body.items() if name.startswith("max_")} == {obeyed: 9}


def test_characters_count_text_in_strings_and_parts() -> None:
    """The tier is chosen by all text of all messages."""
    request, _ = chat_request.read(
        json.dumps(
            {
                "model": "auto",
                "messages": [
                    {"role": "system", "content": "abc"},
                    {"role": "user", "content": [{"type": "text", "text": "defg"}]},
                    {"role": "assistant", "content": None},
                ],
            }
        ).encode()
    )
    assert request.characters() == 7
