"""Working out what a request would be: whose clock says which day, what stands in for a price, how its prompt is counted."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.aio.client import Client

from common.contracts.directory import NO_LIMITS, KeyRecord, Limits, OrganizationRecord, ProjectRecord
from common.contracts.events import Usage
from common.contracts.prices import built_in_book
from gateway.domain.attempts import charge
from gateway.domain.calendar import TRUSTED_SKEW_MS, Calendar
from gateway.domain.caller import Caller, join
from gateway.domain.chat_request import ChatRequest
from gateway.domain.learned_usage import LearnedUsage
from gateway.domain.model_families import cap_field_of, family_of
from gateway.domain.routing import Candidate, Routes, make_route
from gateway.domain.run import Run
from gateway.outbound.grants import Grants
from gateway.use_cases.plan_request import PlanRequest
from gateway.use_cases.take_hold import TakeHold

BOOK = built_in_book()
PRICED = Candidate("u", "gpt-4o", b'"gpt-4o"', BOOK.find("gpt-4o"), family="o200k_base")
UNPRICED = Candidate("u", "own-model", b'"own-model"', None)
ROUTES = Routes(
    tiers={"fast": make_route("fast", (PRICED, UNPRICED)), "deep": make_route("deep", (PRICED,))},
    models={"own": make_route("", (UNPRICED,))},
    prefixes={},
    deep_from_characters=100,
    default_output_cap=500,
)


def make_take_hold(*, skew_ms: int = 0) -> TakeHold:
    """Its grants have no connection."""
    grants = Grants(Client(), gateway="g", boot="b", expected=(100, 0))
    grants.skew_ms = skew_ms
    return TakeHold(grants, Calendar())


def make_plan(
    *,
    skew_ms: int = 0,
    learned: LearnedUsage | None = None,
    counted: list[str] | None = None,
    take_hold: TakeHold | None = None,
) -> PlanRequest:
    def count(family: str, _request: ChatRequest) -> int | None:
        if counted is not None:
            counted.append(family)
        return 77 if family else None

    return PlanRequest(
        ROUTES,
        Calendar(),
        take_hold or make_take_hold(skew_ms=skew_ms),
        learned or LearnedUsage(),
        count,
        BOOK.dearest(),
        0.05,
    )


MONEY = Limits(version=1, monthly_cost_nanousd=10**9)
A_MINUTE = Limits(version=1, tokens_per_minute=10**6)


def make_caller(*, limits: Limits = MONEY, of_organization: Limits = NO_LIMITS, **project: Any) -> Caller:
    organization = OrganizationRecord(organization_id="o", version=1, status="active", limits=of_organization)
    record = ProjectRecord(project_id="p", organization_id="o", version=1, status="active", limits=limits, **project)
    key = KeyRecord(
        key_id="k", lookup="l", project_id="p", organization_id="o", version=1, status="active", secrets=(), expires_at=None
    )
    return join(key, record, organization, None)


def plan(made: PlanRequest, caller: Caller, **fields: Any) -> Run:
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()
    return made(caller, body, None, "/v1/chat/completions")


@pytest.mark.parametrize("skew_ms", [0, TRUSTED_SKEW_MS, -TRUSTED_SKEW_MS, 45 * 86_400_000, -45 * 86_400_000])
def test_a_clock_that_is_far_off_does_not_say_which_month_it_is(skew_ms: int) -> None:
    """The authority's does; a clock a little off is our own affair."""
    run = plan(make_plan(skew_ms=skew_ms), make_caller())
    trusted = time.time() * 1000 + (skew_ms if abs(skew_ms) > TRUSTED_SKEW_MS else 0)
    assert abs(run.admitted_at - trusted) < 60_000
    assert run.day.month == datetime.fromtimestamp(run.admitted_at / 1000, UTC).strftime("%Y-%m")


def test_a_tier_with_a_model_without_a_price_holds_what_the_others_cost() -> None:
    """It is no reason to hold nothing for those that have one; where a missing price is stood in for, by the dearest there is."""
    allowed = plan(make_plan(), make_caller(on_unpriced="allow"))
    assert allowed.estimate.nanousd == ROUTES.tiers["deep"].bound_price.bound(allowed.estimate.prompt_tokens, 500)  # type: ignore[union-attr] # it has one
    assert allowed.price is None
    stood_in = plan(make_plan(), make_caller(on_unpriced="estimate"))
    assert stood_in.price == BOOK.dearest()
    assert stood_in.estimate.nanousd >= allowed.estimate.nanousd
    assert plan(make_plan(), make_caller(on_unpriced="allow"), model="own").estimate.nanousd == 0


@pytest.mark.parametrize("enforcement", ["hard", "soft", "shadow"])
def test_a_missing_price_is_stood_in_for_under_any_cost_limit(enforcement: str) -> None:
    """A limit that alerts, or says what it would refuse, goes by the same money; without a cost limit nothing is made up."""
    run = plan(make_plan(), make_caller(on_unpriced="estimate", enforcement=enforcement), model="own")
    assert (run.price, run.estimate.nanousd > 0) == (BOOK.dearest(), True)
    tokens = Limits(version=1, monthly_tokens=10**6)
    free = plan(make_plan(), make_caller(on_unpriced="estimate", enforcement=enforcement, limits=tokens), model="own")
    assert (free.price, free.estimate.nanousd) == (None, 0)


@pytest.mark.parametrize(("candidate", "status"), [(PRICED, "estimated"), (UNPRICED, "unpriced")])
def test_an_attempt_of_unknown_fate_is_charged_at_its_hold_or_at_what_was_seen(candidate: Candidate, status: str) -> None:
    """Whichever is more: what a client has had is not given away; without a price nothing is made up."""
    run = plan(make_plan(), make_caller(on_unpriced="allow", budget_mode="sliced"), stream=True, max_tokens=5_000)
    held = charge(1, candidate, run.estimate, "unknown", "cancelled", seen_output=10)
    beyond = charge(1, candidate, run.estimate, "unknown", "cancelled", seen_output=1_600)
    assert held.usage.completion_tokens == run.estimate.completion_tokens == 1_000
    assert beyond.usage.completion_tokens == 1_600
    assert (held.cost_status, beyond.cost_status) == (status, status)
    assert beyond.cost_nanousd - held.cost_nanousd == (run.estimate.output_cost(600) if candidate.price else 0)


def test_only_modes_that_estimate_count_by_the_tokenizer_and_only_what_is_not_known_better() -> None:
    """By the family of the first candidate; once an answer has told, that counts."""
    learned, counted = LearnedUsage(), []
    made = make_plan(learned=learned, counted=counted)
    assert plan(made, make_caller()).estimate.how == "bytes"
    assert counted == []
    assert plan(made, make_caller(budget_mode="sliced")).estimate.how == "tokenizer"
    assert counted == ["o200k_base"]
    assert plan(made, make_caller(budget_mode="sliced", on_unpriced="allow"), model="own").estimate.how == "length"
    learned.saw_prompt("k", "fast", 100, Usage(prompt_tokens=30, completion_tokens=1), 0)
    assert plan(made, make_caller(budget_mode="sliced")).estimate.how == "learned"


@pytest.mark.parametrize(
    "limits",
    [
        {"enforcement": "soft"},
        {"enforcement": "shadow"},
        {"limits": A_MINUTE},
        {"limits": A_MINUTE, "enforcement": "shadow"},
        {"limits": NO_LIMITS, "of_organization": A_MINUTE},
        {"limits": NO_LIMITS, "of_organization": MONEY},
        {"limits": NO_LIMITS, "end_user_limits": A_MINUTE},
    ],
    ids=["soft", "shadow", "a minute's tokens", "those in shadow", "the organization's", "its money", "an end user's"],
)
@pytest.mark.parametrize("mode", ["strict", "sliced", "expected"])
def test_the_mode_counts_whatever_limits_tokens_or_money(mode: str, limits: dict[str, Any]) -> None:
    """A limit in shadow mode measures what it would refuse; a minute's tokens are not used up by a cap that nobody reaches."""
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": "hi " * 9_000}],
        "max_tokens": 32_000,
        "stream": True,
        "user": "ada",
    }
    hard = plan(make_plan(), make_caller(budget_mode=mode), **asked)
    other = plan(make_plan(), make_caller(budget_mode=mode, **limits), **asked)
    assert (other.mode, other.estimate) == (mode, hard.estimate)


@pytest.mark.parametrize("limits", [NO_LIMITS, Limits(version=1, requests_per_minute=9, concurrency=9)])
def test_where_nothing_limits_tokens_or_money_there_is_no_mode(limits: Limits) -> None:
    """Nothing is learned then, and no tokenizer is asked."""
    counted: list[str] = []
    run = plan(make_plan(counted=counted), make_caller(budget_mode="sliced", limits=limits))
    assert (run.mode, run.estimate.how, counted) == ("", "bytes", [])


@pytest.mark.parametrize(
    ("model", "family", "cap_field"),
    [
        ("gpt-4o-mini", "o200k_base", "max_tokens"),
        ("openai/gpt-4.1", "o200k_base", "max_tokens"),
        ("ft:gpt-4o:acme", "o200k_base", "max_tokens"),
        ("gpt-4-0613", "cl100k_base", "max_tokens"),
        ("gpt-3.5-turbo", "cl100k_base", "max_tokens"),
        ("o4-mini", "o200k_base", "max_completion_tokens"),
        ("azure/o3", "o200k_base", "max_completion_tokens"),
        ("gpt-5-mini", "o200k_base", "max_completion_tokens"),
        ("claude-sonnet-4", "", "max_tokens"),
        ("o2000-of-somebody", "", "max_tokens"),
    ],
)
def test_what_a_models_name_tells(model: str, family: str, cap_field: str) -> None:
    """Its tokenizer, where that is known, and the field by which it can be held to a cap."""
    assert (family_of(model), cap_field_of(model)) == (family, cap_field)
