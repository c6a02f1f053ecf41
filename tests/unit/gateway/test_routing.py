"""Which models a request may reach: allow-lists of key and project, and what a project's policy leaves of a tier."""

import pytest
from msgspec.structs import replace

from common.contracts.directory import TierPolicy
from common.contracts.prices import IMAGE_TOKENS, built_in_book
from gateway.domain.caller import join
from gateway.domain.refusals import ModelNotFound
from gateway.domain.routing import AUTO, Candidate, Route, Routes, choose, make_route
from gateway.use_cases.list_models import list_models
from tests.unit.gateway.directory_makers import fresh_plaintext, key_record, organization_record, project_record

PRICES = built_in_book()


def candidate(model: str, upstream: str = "u", price: str = "sim-fast-1") -> Candidate:
    return Candidate(upstream, model, b"", PRICES.find(price))


FAST = (candidate("small"), candidate("smaller", "v"))
DEEP = (candidate("large", price="sim-deep-1"), candidate("larger"))
ROUTES = Routes(
    tiers={"fast": make_route("fast", FAST), "deep": make_route("deep", DEEP)},
    models={"our-smaller": make_route("", (candidate("smaller", "v"),)), "small": make_route("", (candidate("small"),))},
    prefixes={},
    deep_from_characters=100,
    default_output_cap=10,
)


def models_of(route: Route) -> list[str]:
    return [candidate.model for candidate in route.candidates]


def chosen(policy: TierPolicy, model: str = AUTO, tier: str | None = None, characters: int = 1) -> Route:
    return choose(ROUTES, policy, model, asked_tier=tier, characters=characters)


@pytest.mark.parametrize(("model", "tier"), [("fast", None), (AUTO, None), (AUTO, "fast"), ("deep", "fast")])
def test_a_policy_narrows_its_tier_however_it_was_chosen(model: str, tier: str | None) -> None:
    """By name, by the prompt's length or by the client's header; falling back stays within what is left."""
    assert models_of(chosen(TierPolicy(), model, tier)) == ["small", "smaller"]
    assert models_of(chosen(TierPolicy(fast_models=("small",)), model, tier)) == ["small"]
    assert models_of(chosen(TierPolicy(fast_models=("our-smaller", "unheard-of")), model, tier)) == ["smaller"]
    assert models_of(chosen(TierPolicy(deep_models=("large",)), model, tier)) == ["small", "smaller"]


def test_a_narrowed_tier_is_held_at_its_own_price() -> None:
    """Not at that of a model which the project cannot reach."""
    cheap, full = chosen(TierPolicy(deep_models=("larger",)), "deep"), chosen(TierPolicy(), "deep")
    assert cheap.bound_price == make_route("", (DEEP[1],)).bound_price
    assert cheap.bound_price != full.bound_price


def test_an_image_to_a_tier_with_a_model_without_a_price_is_held_at_no_known_table() -> None:
    """The table of the others is not its own; a larger one of theirs stays."""
    unpriced = Candidate("u", "own", b"", None)
    counted = Candidate("u", "large", b"", PRICES.find("gpt-4o"))
    larger = Candidate("u", "huge", b"", replace(PRICES.models["gpt-4o"], image_tokens=IMAGE_TOKENS + 1))
    tables = [
        route.bound_price and route.bound_price.image_tokens
        for route in (
            make_route("", (counted,)),
            make_route("", (counted, unpriced)),
            make_route("", (counted, unpriced, larger)),
        )
    ]
    assert tables == [PRICES.models["gpt-4o"].image_tokens, IMAGE_TOKENS, IMAGE_TOKENS + 1]


def test_a_policy_that_leaves_nothing_says_so() -> None:
    """404 that names the tier; the other tier and models named directly go on."""
    for policy in (TierPolicy(fast_models=()), TierPolicy(fast_models=("large", "elsewhere"))):
        with pytest.raises(ModelNotFound, match="tier policy leaves the tier 'fast' no model"):
            chosen(policy, "fast")
        assert models_of(chosen(policy, AUTO, characters=100)) == ["large", "larger"]
        assert models_of(chosen(policy, "small")) == ["small"]


def test_policies_of_many_projects_take_bounded_memory() -> None:
    """Each is worked out once, and not for ever."""
    first = chosen(TierPolicy(fast_models=("small",)), "fast")
    assert chosen(TierPolicy(fast_models=("small",)), "fast") is first
    for number in range(3000):
        chosen(TierPolicy(fast_models=("small", str(number))), "fast")
    assert len(ROUTES._narrowed) <= 1024
    assert models_of(chosen(TierPolicy(fast_models=("small",)), "fast")) == ["small"]


@pytest.mark.parametrize(
    ("key_models", "project_models", "policy", "expected"),
    [
        (None, None, TierPolicy(), [AUTO, "fast", "deep", "our-smaller", "small"]),
        (("small", "fast"), None, TierPolicy(), ["fast", "small"]),
        (("small", "fast"), ("small", "deep"), TierPolicy(), ["small"]),
        ((), None, TierPolicy(), []),
        (None, (), TierPolicy(), []),
        (None, None, TierPolicy(fast_models=("elsewhere",)), [AUTO, "deep", "our-smaller", "small"]),
        (None, None, TierPolicy(fast_models=(), deep_models=()), ["our-smaller", "small"]),
    ],
)
def test_only_what_a_request_may_name_is_listed(
    key_models: tuple[str, ...] | None, project_models: tuple[str, ...] | None, policy: TierPolicy, expected: list[str]
) -> None:
    """On both allow-lists, and no tier that the project has no model in."""
    caller = join(
        key_record(fresh_plaintext(), models=key_models),
        project_record(models=project_models, tier=policy),
        organization_record(),
        None,
    )
    assert list_models(ROUTES, caller) == expected
