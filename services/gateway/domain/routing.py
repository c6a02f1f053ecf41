"""Which upstream and model answer: tiers, named models, allow-lists, and the order in which candidates are tried."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec

from common.contracts.directory import TierPolicy
from common.contracts.prices import IMAGE_TOKENS, ModelPrice
from gateway.domain.refusals import BadRequest, ModelNotFound

AUTO = "auto"
TIERS = ("fast", "deep")
MOST_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model at one upstream. `price` None = unpriced; `model_json` is the name as a JSON string."""

    upstream: str
    model: str
    model_json: bytes
    price: ModelPrice | None
    cap_field: str = "max_tokens"
    price_name: str = ""
    """The price book's entry, where that is not the model's name."""
    family: str = ""
    """Of its tokenizer, where that is known."""


@dataclass(frozen=True, slots=True)
class Route:
    """The chosen tier (empty for a model named directly) and its candidates."""

    tier: str
    candidates: tuple[Candidate, ...]
    bound_price: ModelPrice | None
    """Dearest of the candidates that have a price, for holds; None if none has."""
    has_unpriced: bool

    @property
    def name(self) -> str:
        """The tier, or the model of a route that is none."""
        return self.tier or self.candidates[0].model


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes file, checked. `prefixes` serve models by the beginning of their name (development)."""

    tiers: dict[str, Route]
    models: dict[str, Route]
    prefixes: dict[str, Candidate]
    deep_from_characters: int
    default_output_cap: int
    _made: dict[str, Route] = field(default_factory=dict)
    _narrowed: dict[tuple[str, tuple[str, ...]], Route | None] = field(default_factory=dict)

    def names(self) -> list[str]:
        """What `GET /v1/models` can offer."""
        return [AUTO, *self.tiers, *self.models]

    def candidates(self) -> Iterator[Candidate]:
        """All that may ever answer."""
        for route in (*self.tiers.values(), *self.models.values()):
            yield from route.candidates
        yield from self.prefixes.values()

    def find(self, model: str) -> Route | None:
        """The route of a model named directly or of a tier named as a model."""
        return self.tiers.get(model) or self.models.get(model) or self._by_prefix(model)

    def within(self, route: Route, policy: TierPolicy) -> Route | None:
        """A tier's route with the models that a project's policy leaves it, None if it leaves none; other routes as they are."""
        names = policy.fast_models if route.tier == "fast" else policy.deep_models if route.tier == "deep" else None
        if names is None:
            return route
        wanted = (route.tier, names)
        if wanted not in self._narrowed:
            if len(self._narrowed) >= MOST_KEPT:
                self._narrowed.clear()
            left = tuple(candidate for candidate in route.candidates if self._is_named(candidate, names))
            self._narrowed[wanted] = make_route(route.tier, left) if left else None
        return self._narrowed[wanted]

    def _is_named(self, candidate: Candidate, names: tuple[str, ...]) -> bool:
        """By the model's own name, or by the name under which the file offers the same model of the same upstream."""
        offered = (self.models[name].candidates[0] for name in names if name in self.models)
        same = ((it.upstream, it.model) == (candidate.upstream, candidate.model) for it in offered)
        return candidate.model in names or any(same)

    def _by_prefix(self, model: str) -> Route | None:
        if model in self._made:
            return self._made[model]
        if not (model.isascii() and model.isprintable()):
            return None
        for prefix, pattern in self.prefixes.items():
            if model.startswith(prefix):
                route = make_route(
                    "",
                    (
                        replace(
                            pattern,
                            model=model,
                            model_json=msgspec.json.encode(model),
                            price_name=pattern.price_name or pattern.model,
                        ),
                    ),
                )
                if len(self._made) < MOST_KEPT:
                    self._made[model] = route
                return route
        return None


def make_route(tier: str, candidates: tuple[Candidate, ...]) -> Route:
    """A route with the dearest price of its candidates, rate by rate. One without a price may count images by any table."""
    prices = [candidate.price for candidate in candidates if candidate.price is not None]
    has_unpriced = len(prices) < len(candidates)
    bound = max(prices, key=lambda price: price.input + price.output, default=None)
    if bound is not None:
        bound = ModelPrice(
            input=max(max(price.input, price.cached_input or 0) for price in prices),
            cached_input=max(price.input if price.cached_input is None else price.cached_input for price in prices),
            output=max(price.output for price in prices),
            effective_from=bound.effective_from,
            source=bound.source,
            max_output_tokens=max(price.max_output_tokens for price in prices),
            image_tokens=max(IMAGE_TOKENS if has_unpriced else 0, *(price.image_tokens for price in prices)),
        )
    return Route(tier, candidates, bound, has_unpriced)


def allowed(model: str, key_models: tuple[str, ...] | None, project_models: tuple[str, ...] | None) -> bool:
    """Whether both allow-lists (None = everything) name the model."""
    return (key_models is None or model in key_models) and (project_models is None or model in project_models)


def choose(
    routes: Routes,
    policy: TierPolicy,
    model: str,
    *,
    asked_tier: str | None,
    characters: int,
) -> Route:
    """The route of a request; `asked_tier` is the client's header and overrules the count where the model is a tier or `auto`."""
    if asked_tier is not None and asked_tier not in TIERS:
        raise BadRequest("x-codexflow-tier is 'fast' or 'deep'.", param="x-codexflow-tier")
    if model == AUTO or (asked_tier is not None and model in TIERS):
        tier = asked_tier or policy.default_tier or _by_length(routes, policy, characters)
        route = routes.tiers.get(tier)
    else:
        route = routes.find(model)
    if route is None:
        raise ModelNotFound(f"The model '{model}' does not exist or you do not have access to it.", param="model")
    narrowed = routes.within(route, policy)
    if narrowed is None:
        raise ModelNotFound(f"The project's tier policy leaves the tier '{route.tier}' no model of this gateway.", param="model")
    return narrowed


def tier_signal(routes: Routes, policy: TierPolicy, model: str, *, asked_tier: str | None, characters: int) -> str:
    """In a few words, what chose the tier or the model; for whoever asks why."""
    if asked_tier is not None and (model == AUTO or model in TIERS):
        return f"x-codexflow-tier: {asked_tier}"
    if model != AUTO:
        return "named in the request"
    if policy.default_tier is not None:
        return f"the project's tier: {policy.default_tier}"
    threshold = policy.deep_from_characters or routes.deep_from_characters
    return f"{characters} characters, deep from {threshold}"


def _by_length(routes: Routes, policy: TierPolicy, characters: int) -> str:
    threshold = policy.deep_from_characters or routes.deep_from_characters
    return "deep" if characters >= threshold else "fast"
