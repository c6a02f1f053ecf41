"""Limits of every owner and kind: what is refused names the limit, what is let in is covered, and whoever asks is told why."""

import json
import time
from contextlib import ExitStack
from typing import Any

import pytest
from openai import OpenAI, RateLimitError

from tests.e2e.harness import Gateway, Project, World, events, together
from tests.e2e.running_stack import Answer, call, eventually

CAPPED = {"model": "sim-fast-1", "max_tokens": 40}
HELD = {"model": "sim-fault-slow.1000", "max_tokens": 40}
SLICE = 1000


def refused_by(answer: Answer) -> str:
    """The limit that a 429 names; when to come again stands there unless the request never fits."""
    assert answer.status == 429, answer.body
    error = answer.json["error"]
    assert {"limit", "used", "held", "resets_at"} <= error.keys()
    if error["needed"] > error["limit"]:
        assert_final(answer)
    else:
        assert int(answer.headers["retry-after"]) >= 1
        assert error["resets_at"] is not None
    return error["limit_source"]


def assert_final(answer: Answer) -> None:
    """Nothing says when to send it again, and OpenAI's clients are told not to."""
    assert (answer.json["error"]["resets_at"], answer.headers.get("retry-after")) == (None, None)
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("span", ["daily", "monthly"])
@pytest.mark.parametrize("unit", ["tokens", "cost"])
@pytest.mark.parametrize("owner", ["organization", "project", "key", "member", "end_user"])
def test_every_owners_budget_refuses_in_its_own_name(world: World, owner: str, span: str, unit: str) -> None:
    """By the day and by the month, in tokens and in money; an answer that fits is served."""
    limit = {f"{span}_{unit if unit == 'tokens' else 'cost_nanousd'}": 1}
    organization = ""
    fields: dict[str, Any] = {}
    if owner in ("organization", "member"):
        of_all = {"limits": limit} if owner == "organization" else {}
        organization = world.manage("POST", "/organizations", {"name": "Tight", **of_all})["id"]
        if owner == "member":
            world.manage("PATCH", f"/organizations/{organization}/members/{world.user_id}", {"limits": limit})
    elif owner == "end_user":
        fields["end_user_limits"] = limit
    project = world.new_project(organization=organization, **fields)
    if owner == "project":
        world.manage("PATCH", f"/projects/{project.id}", {"limits": limit})
        eventually(lambda: world.gateway.chat(project, **CAPPED).status == 429)
    if owner == "key":
        project = world.new_key(project.id, limits=limit)
    if owner == "member":
        eventually(lambda: world.gateway.chat(project, **CAPPED).status == 429)
    assert refused_by(world.gateway.chat(project, user="ada", **CAPPED)) == f"{owner}.{span}_{unit}"
    if owner == "end_user":
        assert world.gateway.chat(project, **CAPPED).status == 200, "a request of nobody in particular"


def test_of_two_limits_the_one_that_is_spent_is_named(world: World) -> None:
    """Though neither tokens nor money are granted where either is spent."""
    project = world.new_project(tokens=10**9, nanousd=1)
    for gateway in world.gateways:
        refused = gateway.chat(project, **CAPPED)
        assert refused_by(refused) == "project.monthly_cost"
        assert (refused.json["error"]["limit"], refused.json["error"]["unit"]) == (1, "nanousd")


def test_end_users_have_a_budget_each(world: World) -> None:
    """What one has spent is not missing to the other."""
    project = world.new_project(end_user_limits={"daily_tokens": 2_000})
    spent = 0
    while (answer := world.gateway.chat(project, user="ada", **CAPPED)).status == 200:
        spent += answer.json["usage"]["total_tokens"]
    assert refused_by(answer) == "end_user.daily_tokens"
    assert 0 < spent <= 2_000

    def shown(query: str) -> dict[str, Any]:
        told = call("GET", f"{world.gateway.url}/v1/quota{query}", bearer=project.key).json["data"]
        return {quota["scope_id"].partition("/")[2]: quota for quota in told if quota["scope"] == "end_user"}

    assert shown("") == {}
    assert (shown("?user=ada")["ada"]["limit_tokens"], shown("?user=ada")["ada"]["this_gateway"]["held_tokens"]) == (2_000, 0)
    eventually(lambda: shown("?user=ada")["ada"]["used_tokens"] == spent)
    too_long = call("GET", f"{world.gateway.url}/v1/quota?user={'x' * 257}", bearer=project.key)
    assert (too_long.status, too_long.json["error"]["param"]) == (400, "user")
    assert world.gateway.chat(project, user="grace", **CAPPED).status == 200


def test_a_sliced_budget_is_not_locked_by_a_large_cap(world: World) -> None:
    """What strict mode refuses, for its cap alone is more than the budget, is served when the hold grows with the answer."""
    asked = {"model": "sim-length-50", "max_tokens": 32_000, "stream": True}
    strict, sliced = (world.new_project(tokens=5_000, budget_mode=mode) for mode in ("strict", "sliced"))
    assert refused_by(world.gateway.chat(strict, **asked)) == "project.monthly_tokens"
    with world.gateway.stream(sliced, **asked) as response:
        assert response.status_code == 200
        last = list(events(response))[-1]
    assert last == {"done": True}
    (row,) = world.compare(sliced, 1).values()
    assert (row["usage_source"], row["decision"]["mode"]) == ("provider", "sliced")
    assert row["hold_tokens"] < 5_000


def test_a_stream_ends_properly_when_no_slice_is_to_be_had(world: World) -> None:
    """Its choices end as at a cap, an error event says which limit, and an alert; no more than a slice is spent beyond the budget."""
    project = world.new_project(tokens=3_500, budget_mode="sliced")
    with world.gateway.stream(project, model="sim-length-20000", max_tokens=30_000) as response:
        assert response.status_code == 200
        request_id = response.headers["x-request-id"]
        heard = list(events(response))
    assert heard[-2]["choices"][0]["finish_reason"] == "length"
    error = heard[-1]["error"]
    assert (error["code"], error["limit_source"]) == ("insufficient_quota", "project.monthly_tokens")
    (row,) = world.compare(project, 1).values()
    assert row["usage_source"] == "estimated"
    assert row["decision"]["slices"] >= 1
    spent = row["prompt_tokens"] + row["completion_tokens"]
    assert SLICE < spent <= 3_500
    (alert,) = eventually(lambda: world.report(f"/projects/{project.id}/alerts?kind=exhausted")["data"])
    assert (alert["unit"], alert["limit"], alert["used"]) == ("tokens", 3_500, spent)
    (seen,) = world.provider_rows(request_id)
    assert seen["prompt_tokens"] + seen["generated"] <= 3_500 + SLICE


def test_an_expected_budget_learns_how_long_answers_are(world: World) -> None:
    """At first a request holds its cap; once answers are known to be short, that."""
    project = world.new_project(tokens=10**6, budget_mode="expected")
    asked = {"model": "sim-length-20", "max_tokens": 5_000}
    for _ in range(18):
        assert world.gateway.chat(project, **asked).status == 200
    rows = sorted(world.compare(project, 18).values(), key=lambda row: row["event_id"])
    assert rows[0]["hold_tokens"] > 5_000
    assert rows[-1]["hold_tokens"] < 200


@pytest.mark.parametrize(("enforcement", "header"), [("shadow", "project.monthly_tokens"), ("soft", None)])
def test_a_limit_that_does_not_refuse(world: World, enforcement: str, header: str | None) -> None:
    """In shadow mode it says what it would have refused; a soft one says nothing here. Both let pass."""
    project = world.new_project(tokens=1, enforcement=enforcement)
    answer = world.gateway.chat(project, **CAPPED)
    assert answer.status == 200
    assert answer.headers.get("x-codexflow-would-refuse") == header
    with world.gateway.stream(project, **CAPPED) as response:
        assert response.headers.get("x-codexflow-would-refuse") == header


def test_a_shadow_limit_far_away_says_nothing(world: World) -> None:
    """Not even at the first request, when nothing has been granted yet."""
    project = world.new_project(
        tokens=10**6, enforcement="shadow", limits={"monthly_tokens": 10**6, "requests_per_minute": 1_000}
    )
    answers = [world.gateways[number % 2].chat(project, **CAPPED) for number in range(6)]
    assert {answer.status for answer in answers} == {200}
    assert [answer.headers.get("x-codexflow-would-refuse") for answer in answers] == [None] * 6


def test_a_limit_in_shadow_counts_what_is_not_booked_yet(world: World) -> None:
    """One after the other, as fast as they are answered: each is told by all that those before it have spent."""
    limit = 1_000
    project = world.new_project(tokens=limit, enforcement="shadow")
    answers = [world.gateway.chat(project, **CAPPED) for _ in range(40)]
    told = {answer.headers["x-request-id"]: answer.headers.get("x-codexflow-would-refuse") for answer in answers}
    spent = 0
    for row in sorted(world.compare(project, 40).values(), key=lambda row: row["event_id"]):
        assert (told[row["event_id"]] is not None) == (spent + row["hold_tokens"] > limit), (spent, row)
        spent += row["prompt_tokens"] + row["completion_tokens"]
    assert spent > limit


def test_a_limit_in_shadow_says_what_it_could_not_bound(world: World) -> None:
    """By the code that the refusal would have; the request is answered."""
    project = world.new_project(tokens=10**6, nanousd=10**12, enforcement="shadow")
    for asked, code in (({"web_search_options": {}, **CAPPED}, "unbounded_input"), ({"model": "unpriced"}, "model_not_priced")):
        answer = world.gateway.chat(project, **asked)
        assert (answer.status, answer.headers["x-codexflow-would-refuse"]) == (200, code)


def test_a_sliced_limit_in_shadow_says_what_a_hard_one_would_refuse(world: World) -> None:
    """Not a stream for its large cap; one for the slice that was not to be had, in the request's explanation."""
    project = world.new_project(tokens=3_500, budget_mode="sliced", enforcement="shadow")
    for output in (50, 20_000):
        with world.gateway.stream(project, model=f"sim-length-{output}", max_tokens=30_000) as response:
            assert response.status_code == 200
            assert "x-codexflow-would-refuse" not in response.headers
            assert list(events(response))[-1] == {"done": True}
    short, long = (row["decision"] for row in world.compare(project, 2).values())
    assert "would_refuse" not in short
    assert (long["mode"], long["would_refuse"]) == ("sliced", ["project.monthly_tokens"])


def test_a_sliced_minute_is_not_used_up_by_a_large_cap(world: World) -> None:
    """Nor is the request refused for ever for it: it counts as it is held, where only a minute has a limit too."""
    asked = {"model": "sim-length-50", "max_tokens": 32_000, "stream": True}
    strict, sliced = (world.new_project(budget_mode=mode, limits={"tokens_per_minute": 5_000}) for mode in ("strict", "sliced"))
    assert world.gateway.chat(strict, **asked).status == 429
    with world.gateway.stream(sliced, **asked) as response:
        assert response.status_code == 200
        assert list(events(response))[-1] == {"done": True}
        assert int(response.headers["x-ratelimit-remaining-tokens"]) > 3_000


def test_a_cached_answer_counts_as_a_request_and_not_its_tokens(world: World) -> None:
    """And tells where the limits stand, as every answer does."""
    project = world.new_project(limits={"requests_per_minute": 50, "tokens_per_minute": 50_000})
    exact = {"model": "fast", "temperature": 0, "max_tokens": 20}
    answers = [world.gateway.chat(project, **exact)]
    while answers[-1].headers["x-codexflow-cache"] != "hit" and len(answers) < 20:
        answers.append(world.gateway.chat(project, **exact))
    answers.append(world.gateway.chat(project, **exact))
    earlier, later = answers[-2:]
    assert (earlier.headers["x-codexflow-cache"], later.headers["x-codexflow-cache"]) == ("hit", "hit")
    assert int(later.headers["x-ratelimit-remaining-requests"]) < int(earlier.headers["x-ratelimit-remaining-requests"])
    assert int(later.headers["x-ratelimit-remaining-tokens"]) >= int(earlier.headers["x-ratelimit-remaining-tokens"])


def test_a_shadow_rate_limit_says_what_it_would_refuse(world: World) -> None:
    """Once it is used up; everything is let in."""
    project = world.new_project(enforcement="shadow", limits={"requests_per_minute": 3})
    answers = [world.gateway.chat(project, **CAPPED) for _ in range(6)]
    assert {answer.status for answer in answers} == {200}
    told = [answer.headers.get("x-codexflow-would-refuse") for answer in answers]
    assert (told[0], told[-1]) == (None, "project.requests_per_minute")


@pytest.mark.parametrize(("policy", "cost_status"), [("estimate", "estimated"), ("allow", "unpriced")])
def test_a_model_without_a_price_under_a_cost_limit(world: World, policy: str, cost_status: str) -> None:
    """Charged at the dearest rates of the book, or let pass and flagged, as the project says."""
    project = world.new_project(nanousd=10**12, on_unpriced=policy)
    assert world.gateway.chat(project, model="unpriced").status == 200
    (row,) = world.compare(project, 1).values()
    assert row["cost_status"] == cost_status
    assert (row["cost_nanousd"] > 0) == (policy == "estimate")


def test_requests_per_minute_over_two_gateways(world: World) -> None:
    """However they are spread, no more than the limit; the headers count down, the refusal says when to come back."""
    project = world.new_project()
    key = world.new_key(project.id, limits={"requests_per_minute": 7})
    answers = [world.gateways[number % 2].chat(key, **CAPPED) for number in range(14)]
    served = [answer for answer in answers if answer.status == 200]
    assert 5 <= len(served) <= 7
    assert served[0].headers["x-ratelimit-limit-requests"] == "7"
    assert int(served[-1].headers["x-ratelimit-remaining-requests"]) < int(served[0].headers["x-ratelimit-remaining-requests"])
    refused = next(answer for answer in answers if answer.status != 200)
    assert refused_by(refused) == "key.requests_per_minute"
    assert refused.json["error"]["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) <= 61


def test_tokens_per_minute_count_what_answers_needed(world: World) -> None:
    """A request is let in by its estimate, and counts with what it came to."""
    project = world.new_project(limits={"tokens_per_minute": 3_000})
    answers = [world.gateway.chat(project, **CAPPED) for _ in range(5)]
    assert {answer.status for answer in answers} == {200}
    long = {"model": "sim-length-1000", "max_tokens": 1_000}
    assert [world.gateway.chat(project, **long).status for _ in range(2)] == [200, 200]
    assert refused_by(world.gateway.chat(project, **long)) == "project.tokens_per_minute"


def test_what_is_larger_than_a_minute_is_not_to_be_sent_again(world: World) -> None:
    """It never fits, so nothing says when; OpenAI's client, which tries a 429 again by itself, does not."""
    project = world.new_project(limits={"tokens_per_minute": 3_000})
    refused = world.gateway.chat(project, model="sim-fast-1", max_tokens=3_000)
    error = refused.json["error"]
    assert (refused.status, error["code"], error["limit_source"]) == (429, "rate_limit_exceeded", "project.tokens_per_minute")
    assert "max_tokens" in error["message"]
    assert (error["limit"], error["resets_at"], refused.headers.get("retry-after")) == (3_000, None, None)
    client = OpenAI(base_url=f"{world.gateway.url}/v1", api_key=project.key, max_retries=2)
    with client, pytest.raises(RateLimitError):
        client.chat.completions.create(model="sim-fast-1", max_tokens=3_000, messages=[{"role": "user", "content": "Hello!"}])
    assert world.gateway.chat(project, **CAPPED).status == 200
    statuses = [row["status"] for row in world.wait_booked(project, 3)]
    assert statuses == ["refused", "refused", "ok"]


def test_what_is_larger_than_a_budget_is_not_to_be_sent_again(world: World) -> None:
    """A gateway that has never asked for it says so too; what fits is served."""
    project = world.new_project(tokens=3_000)
    for gateway in world.gateways:
        refused = gateway.chat(project, model="sim-fast-1", max_tokens=3_000)
        error = refused.json["error"]
        assert (refused.status, error["code"], error["limit_source"]) == (429, "insufficient_quota", "project.monthly_tokens")
        assert "max_tokens" in error["message"]
        assert error["needed"] > error["limit"] == 3_000
        assert_final(refused)
    client = OpenAI(base_url=f"{world.gateway.url}/v1", api_key=project.key, max_retries=2)
    with client, pytest.raises(RateLimitError):
        client.chat.completions.create(model="sim-fast-1", max_tokens=3_000, messages=[{"role": "user", "content": "Hello!"}])
    assert world.gateway.chat(project, **CAPPED).status == 200
    statuses = [row["status"] for row in world.wait_booked(project, len(world.gateways) + 2)]
    assert statuses.count("refused") == len(world.gateways) + 1


def test_no_more_at_once_than_the_concurrency_limit(world: World) -> None:
    """Of six streams at once three run; when one ends, the next is let in."""
    project = world.new_project(limits={"concurrency": 3})
    with ExitStack() as admitted:
        answers = together(6, lambda: admitted.enter_context(world.gateway.stream(project, **HELD)))
        refused = [one for one in answers if one.status_code != 200]
        assert len(refused) == 3
        assert {json.loads(one.read())["error"]["limit_source"] for one in refused} == {"project.concurrency"}
    eventually(lambda: world.gateway.chat(project, **CAPPED).status == 200)


def test_a_request_that_the_budget_refuses_uses_nothing_of_the_minute(world: World) -> None:
    """However often it is tried; its refusal tells where the minute stands, in OpenAI's names."""
    project = world.new_project(tokens=2_000, limits={"monthly_tokens": 2_000, "requests_per_minute": 4})
    refusals = [world.gateway.chat(project, model="sim-fast-1", max_tokens=9_000) for _ in range(8)]
    assert {refused_by(refusal) for refusal in refusals} == {"project.monthly_tokens"}
    assert refusals[-1].headers["x-ratelimit-remaining-requests"] == "4"
    assert world.gateway.chat(project, **CAPPED).status == 200


def test_one_at_a_time_through_any_gateway(world: World) -> None:
    """What one gateway has let go of, the next request has through another: of few slots and of a small minute's requests and tokens."""
    second = world.add_gateway()
    limits = {"concurrency": 1, "requests_per_minute": 16, "tokens_per_minute": 16 * 300}
    try:
        project = world.new_project(limits=limits)
        eventually(lambda: second.chat(project, model="no-such-model").status == 404)
        took_long = {"model": "sim-fault-slow-first-token.1500", "max_tokens": 40}
        answers = [
            (second, world.gateway)[number % 2].chat(project, **(took_long if number % 4 == 0 else CAPPED))
            for number in range(12)
        ]
        assert [answer.status for answer in answers] == [200] * 12, [answer.body for answer in answers if answer.status != 200]
    finally:
        world.remove_gateway(second)


def test_concurrency_over_two_gateways_and_a_death(world: World) -> None:
    """No more at once than the limit, through whichever gateway; the slots of one that is killed come back by themselves."""
    project = world.new_project(limits={"concurrency": 3})
    doomed = world.add_gateway()
    try:
        eventually(lambda: doomed.chat(project, **CAPPED).status == 200)
        with ExitStack() as admitted:
            streams = [admitted.enter_context(gateway.stream(project, **HELD)) for gateway in (doomed, doomed, world.gateway)]
            statuses = [stream.status_code for stream in streams]
            assert statuses.count(200) >= 2
            if statuses.count(200) == 3:
                assert refused_by(world.gateways[1].chat(project, **CAPPED)) == "project.concurrency"
            doomed.process.kill()
        eventually(lambda: all_at_once(world.gateway, project, 3), timeout=180)
    finally:
        world.remove_gateway(doomed)


def all_at_once(gateway: Gateway, project: Project, count: int) -> bool:
    """Whether so many streams are let in; those that were not are given the time to end."""
    with ExitStack() as tried:
        statuses = {tried.enter_context(gateway.stream(project, **HELD)).status_code for _ in range(count)}
    if statuses != {200}:
        time.sleep(3)
    return statuses == {200}


def test_limits_of_client_addresses(world: World) -> None:
    """Requests a minute and at once of every address, over all keys; another address behind a trusted proxy has its own."""
    settings = {"IP_REQUESTS_PER_MINUTE": "4", "IP_CONCURRENCY": "3", "TRUSTED_PROXIES": "127.0.0.0/8"}
    gateway = world.add_gateway(**settings)
    one, other = world.new_project(), world.new_project()

    def asked(key: Project, address: str) -> Answer:
        return gateway.chat(key, headers={"x-forwarded-for": address}, **CAPPED)

    try:
        answers = [asked((one, other)[number % 2], "203.0.113.7") for number in range(8)]
        assert [answer.status for answer in answers].count(200) == 4
        assert refused_by(answers[-1]) == "ip.requests_per_minute"
        assert asked(one, "203.0.113.8").status == 200
        inside, outside = "2001:db8:0:1::1", "2001:db8:0:2::1"
        for number in range(4):
            assert asked(one, f"2001:db8:0:1::{number + 1}").status == 200
        assert refused_by(asked(one, inside)) == "ip.requests_per_minute", "an IPv6 client has a whole /64"
        assert asked(one, outside).status == 200
    finally:
        world.remove_gateway(gateway)


def test_what_was_streamed_is_charged_though_the_client_left_before_its_usage_came(world: World) -> None:
    """In expected mode an answer may be longer than its hold: what was seen of it is booked, so that hanging up pays nobody."""
    project = world.new_project(tokens=10**7, budget_mode="expected")
    for _ in range(16):
        assert world.gateway.chat(project, model="sim-length-5000", max_tokens=20).status == 200
    with world.gateway.stream(project, model="sim-length-5000", max_tokens=6_000) as response:
        seen = 0
        for event in events(response):
            seen += bool(event.get("choices") and event["choices"][0]["delta"].get("content"))
            if seen == 600:
                break
    rows = world.wait_booked(project, 17)
    last = max(rows, key=lambda row: row["event_id"])
    assert last["status"] == "client_closed"
    assert last["hold_tokens"] < 600
    if last["usage_source"] == "estimated":
        assert last["completion_tokens"] >= 600


def ask(gateway: Gateway, project: Project, **fields: Any) -> Any:
    """POST /v1/estimate."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}], **fields}
    answer = call("POST", f"{gateway.url}/v1/estimate", body, bearer=project.key)
    assert answer.status == 200, answer.body
    return answer.json


def test_ask_first(world: World) -> None:
    """The estimate names tier, models, price range, every limit with its headroom, and the verdict; it spends nothing."""
    project = world.new_project(tokens=1_000)
    small = ask(world.gateway, project, max_tokens=40)
    assert (small["verdict"], small["tier"], small["models"]) == ("admitted", "fast", ["sim-fast-1", "sim-fast-2"])
    assert 0 < small["price"]["least_nanousd"] < small["price"]["most_nanousd"]
    (limit,) = small["limits"]
    assert (limit["limit_source"], limit["limit_tokens"], limit["headroom_tokens"]) == ("project.monthly_tokens", 1_000, 1_000)
    large = ask(world.gateway, project, max_tokens=4_000)
    assert (large["verdict"], large["refused_by"]) == ("refused", ["project.monthly_tokens"])
    assert world.gateway.chat(project, max_tokens=4_000).status == 429
    hosted = ask(world.gateway, project, tools=[{"type": "web_search"}])
    assert (hosted["verdict"], hosted["refused_by"]) == ("unbounded", ["tools"])
    assert world.gateway.chat(project, max_tokens=40).status == 200
    assert len(world.wait_booked(project, 2)) == 2


def test_ask_first_counts_limits_per_minute_and_what_others_hold(world: World) -> None:
    """A minute that is used up refuses; budget that another gateway keeps ready is contended, not gone."""
    project = world.new_project(limits={"requests_per_minute": 2, "tokens_per_minute": 5_000})
    told = ask(world.gateway, project, max_tokens=40)
    assert told["verdict"] == "admitted"
    assert {limit["limit_source"] for limit in told["limits"]} == {"project.requests_per_minute", "project.tokens_per_minute"}
    assert ask(world.gateway, project, max_tokens=5_000)["refused_by"] == ["project.tokens_per_minute"]
    while world.gateway.chat(project, **CAPPED).status == 200:
        pass
    told = ask(world.gateway, project, max_tokens=40)
    assert (told["verdict"], told["refused_by"]) == ("refused", ["project.requests_per_minute"])

    held = world.new_project(tokens=1_000)
    with world.gateways[0].stream(held, model="sim-fault-slow.1000", max_tokens=500) as response:
        assert response.status_code == 200
        told = ask(world.gateways[1], held, max_tokens=600)
    assert (told["verdict"], told["refused_by"]) == ("contended", ["project.monthly_tokens"])


def test_quota_tells_limits_per_minute_and_the_bound(world: World) -> None:
    """Per project: in strict mode nothing can be overspent, in sliced mode a slice for each stream under way, in tokens and money."""
    strict = world.new_project(tokens=10**6, limits={"monthly_tokens": 10**6, "requests_per_minute": 60})
    sliced = world.new_project(budget_mode="sliced", limits={"monthly_cost_nanousd": 10**9, "concurrency": 5})
    told = call("GET", f"{world.gateway.url}/v1/quota", bearer=strict.key).json
    assert [view["limit_source"] for view in told["rate_limits"]] == ["project.requests_per_minute"]
    assert told["rate_limits"][0]["headroom"] == 60
    assert (told["overspend_bound"]["tokens"], told["overspend_bound"]["nanousd"]) == (0, 0)
    bound = call("GET", f"{world.gateway.url}/v1/quota", bearer=sliced.key).json["overspend_bound"]
    assert (bound["per_request_tokens"], bound["requests_at_once"], bound["tokens"]) == (SLICE, 5, 5 * SLICE)
    assert bound["nanousd"] == 5 * bound["per_request_nanousd"] > 0


def explain(gateway: Gateway, project: Project, request_id: str) -> Answer:
    """GET /v1/requests/{id}/explain."""
    return call("GET", f"{gateway.url}/v1/requests/{request_id}/explain", bearer=project.key)


def test_ask_afterwards(world: World) -> None:
    """Any gateway explains any request of the key's project, admitted or refused; another project's is not there."""
    project, other = world.new_project(tokens=2_000), world.new_project()
    served = world.gateway.chat(project, max_tokens=40)
    refused = world.gateway.chat(project, max_tokens=9_000)
    world.wait_booked(project, 2)
    told = explain(world.gateways[1], project, served.headers["x-request-id"]).json
    assert (told["verdict"], told["budget"]["mode"]) == ("admitted: the budget covered it", "strict")
    assert told["tier_signal"].startswith("6 characters")
    assert told["cache_reason"].startswith("not deterministic")
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["ok"]
    told = explain(world.gateways[1], project, refused.headers["x-request-id"]).json
    assert (told["verdict"], told["refused_by"], told["error_code"]) == (
        "refused",
        "project.monthly_tokens",
        "insufficient_quota",
    )
    assert told["budget"]["counted_against"] == ["project.monthly"]
    for field in ("web_search_options", "x" * 5_000):
        unbounded = world.gateway.chat(project, **{field: {}})
        assert (unbounded.status, unbounded.json["error"]["param"]) == (400, field)
        request_id = unbounded.headers["x-request-id"]
        eventually(lambda request_id=request_id: explain(world.gateway, project, request_id).status == 200)
        told = explain(world.gateway, project, request_id).json
        assert (told["verdict"], told["error_code"]) == ("refused", "unbounded_input")
        assert told["refused_by"] == field[:200]
    limited = world.new_key(project.id, limits={"requests_per_minute": 1})
    while (answer := world.gateway.chat(limited, **CAPPED)).status == 200:
        pass
    told = eventually(lambda: explain(world.gateway, project, answer.headers["x-request-id"]).json.get("refused_by"))
    assert told == "key.requests_per_minute"
    rated = world.new_project(limits={"requests_per_minute": 2, "concurrency": 5})
    answers = [world.gateway.chat(rated, **CAPPED) for _ in range(4)]
    assert (answers[0].status, answers[-1].status) == (200, 429)
    world.wait_booked(rated, 4)
    first, last = (explain(world.gateways[1], rated, answer.headers["x-request-id"]).json for answer in (answers[0], answers[-1]))
    assert (first["verdict"], first["budget"]["mode"]) == ("admitted: its rate limits left room", None)
    assert first["rate_limits"]["counted_against"] == ["project.requests_per_minute", "project.concurrency"]
    assert (last["verdict"], last["refused_by"]) == ("refused", "project.requests_per_minute")
    free = world.gateway.chat(other, **CAPPED)
    world.wait_booked(other, 1)
    told = explain(world.gateway, other, free.headers["x-request-id"]).json
    assert (told["verdict"], told["rate_limits"]["counted_against"]) == ("admitted: nothing limits it", [])
    foreign = explain(world.gateway, other, served.headers["x-request-id"])
    assert (foreign.status, foreign.json["error"]["code"]) == (404, "request_not_found")


def test_who_guesses_keys_is_refused_unseen_and_locks_nobody_out(world: World) -> None:
    """After so many wrong keys from an address, the next is not looked at; whoever has a real one goes on, also behind the same proxy."""
    gateway = world.add_gateway(IP_FAILURES_PER_MINUTE="5")
    project = world.new_project()
    try:
        assert gateway.chat(project, **CAPPED).status == 200
        answers = [gateway.chat("sk-cf-wrong") for _ in range(12)]
        assert {answer.status for answer in answers[:5]} == {401}
        assert refused_by(answers[-1]) == "ip.failures_per_minute"
        assert refused_by(call("POST", f"{gateway.url}/v1/chat/completions", {})) == "ip.failures_per_minute"
        assert gateway.chat(project, **CAPPED).status == 200
        assert gateway.chat(world.new_key(project.id), **CAPPED).status == 200, "a key that this gateway has never seen"
    finally:
        world.remove_gateway(gateway)
