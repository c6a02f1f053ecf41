"""What no hold could cover: refused by a hard limit, told by one in shadow mode, let pass by a soft one."""

from typing import Any

import pytest

from common.contracts.directory import Limits
from gateway.domain.boundable import refuse_unboundable, would_refuse_unboundable
from gateway.domain.refusals import BadRequest
from tests.unit.gateway.test_plan_request import MONEY, make_caller, make_plan, plan

TOKENS = Limits(version=1, monthly_tokens=10**6)
HIDDEN = {"web_search_options": {}}
UNPRICED = {"model": "own"}


def outcome(fields: dict[str, Any], **project: Any) -> tuple[str, tuple[str, ...]]:
    """The code of the refusal, and what would be refused."""
    run = plan(make_plan(), make_caller(**project), **fields)
    try:
        refuse_unboundable(run)
    except BadRequest as refusal:
        return refusal.code, would_refuse_unboundable(run)
    return "", would_refuse_unboundable(run)


@pytest.mark.parametrize(
    ("fields", "project", "code"),
    [
        (HIDDEN, {"limits": TOKENS}, "unbounded_input"),
        (HIDDEN, {"limits": TOKENS, "budget_mode": "sliced"}, ""),
        (HIDDEN, {"limits": Limits(version=1, tokens_per_minute=5)}, ""),
        (UNPRICED, {"limits": MONEY}, "model_not_priced"),
        (UNPRICED, {"limits": MONEY, "on_unpriced": "allow"}, ""),
        (UNPRICED, {"limits": TOKENS}, ""),
        ({**UNPRICED, **HIDDEN}, {"limits": MONEY}, "unbounded_input"),
        ({}, {"limits": MONEY}, "model_not_priced"),
        ({"model": "deep"}, {"limits": MONEY}, ""),
    ],
)
def test_a_limit_in_shadow_mode_tells_what_a_hard_one_refuses(fields: dict[str, Any], project: dict[str, Any], code: str) -> None:
    """And a soft one neither refuses it nor tells."""
    assert outcome(fields, **project) == (code, ())
    assert outcome(fields, **project, enforcement="shadow") == ("", (code,) if code else ())
    assert outcome(fields, **project, enforcement="soft") == ("", ())
