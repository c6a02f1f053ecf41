"""What is documented of the small `/v1` routes is what they answer, field by field: the OpenAPI models, and the examples in API.md."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from common.contracts.directory import Limits
from gateway.domain.caller import join
from gateway.inbound.documented_answers import EstimateAnswer, ExplanationAnswer, QuotaAnswer
from gateway.use_cases.explain_request import explanation
from tests.unit.gateway import test_estimate_request, test_plan_request, test_show_quota
from tests.unit.gateway.directory_makers import fresh_plaintext, key_record, organization_record, project_record
from tests.unit.gateway.spool_makers import make_end

PAGE = Path(__file__).parents[3] / "docs" / "API.md"
MODELS: dict[str, type[BaseModel]] = {"list": QuotaAnswer, "estimate": EstimateAnswer, "explanation": ExplanationAnswer}
LIMITS = Limits(version=1, monthly_tokens=10_000, daily_cost_nanousd=10**9, requests_per_minute=60, tokens_per_minute=5_000)
EXAMPLES: list[Any] = [
    json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
]


def assert_documented(answer: Any) -> None:
    """Every field of it, and nothing else."""
    assert MODELS[answer["object"]].model_validate(answer).model_dump() == answer


def test_each_has_an_example() -> None:
    """In API.md."""
    assert {example["object"] for example in EXAMPLES} == MODELS.keys()


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["object"] for example in EXAMPLES])
def test_the_examples(example: Any) -> None:
    """They have the fields that the models say."""
    assert_documented(example)


def test_a_quota() -> None:
    """With limits of every kind, of an end user too."""
    project = project_record(limits=LIMITS, end_user_limits=LIMITS, budget_mode="sliced")
    answer = test_show_quota.Rig().show(join(key_record(fresh_plaintext()), project, organization_record(), None), "", "ada")
    assert len(answer["data"]) == 4
    assert len(answer["rate_limits"]) == 4
    assert_documented(answer)


@pytest.mark.parametrize("model", ["fast", "own"], ids=["a tier", "a model without a price"])
async def test_an_estimate(model: str) -> None:
    """With limits of every kind, of a request for a tier or for a model."""
    rig = test_estimate_request.Rig()
    asking = asyncio.create_task(rig.grants.run())
    caller = test_plan_request.make_caller(limits=LIMITS, on_unpriced="allow")
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    answer = await rig.estimate(caller, body, None, "")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert len(answer["limits"]) == 4
    assert_documented(answer)


def test_an_explanation() -> None:
    """Of any request."""
    assert_documented(explanation(make_end("a")))
