"""The bound on overspending: what the mode leaves open for each request, times those that may be under way at once."""

import pytest

from common.contracts.directory import NO_LIMITS, Limits
from common.contracts.prices import built_in_book
from gateway.domain.caller import join
from gateway.domain.estimate import SLICE_TOKENS
from gateway.domain.overspend import overspend_bound
from tests.unit.gateway.directory_makers import fresh_plaintext, key_record, organization_record, project_record

DEAREST = built_in_book().dearest()


def at_once(of_project: str, of_organization: str, *, mode: str = "sliced", limited: bool = True) -> tuple[int, int]:
    """Requests at once, and tokens of all of them; five of the project and seven of the organization, of a hundred."""
    project = project_record(
        budget_mode=mode, enforcement=of_project, limits=Limits(version=1, concurrency=5) if limited else NO_LIMITS
    )
    organization = organization_record(
        enforcement=of_organization, limits=Limits(version=1, concurrency=7) if limited else NO_LIMITS
    )
    bound = overspend_bound(join(key_record(fresh_plaintext()), project, organization, None), DEAREST, most_in_flight=100)
    return bound["requests_at_once"], bound["tokens"]


@pytest.mark.parametrize("other", ["soft", "shadow"])
def test_only_a_limit_that_refuses_bounds_how_many_run_at_once(other: str) -> None:
    """One that is soft or in shadow mode lets any number in, so the bound may not rest on it."""
    assert at_once("hard", "hard") == (5, 5 * SLICE_TOKENS)
    assert at_once(other, "hard") == (7, 7 * SLICE_TOKENS)
    assert at_once("hard", other) == (5, 5 * SLICE_TOKENS)
    assert at_once(other, other) == (100, 100 * SLICE_TOKENS)
    assert at_once("hard", "hard", limited=False) == (100, 100 * SLICE_TOKENS)


def test_a_strict_budget_is_not_overspent() -> None:
    """However many there are."""
    assert at_once("hard", "hard", mode="strict") == (0, 0)
