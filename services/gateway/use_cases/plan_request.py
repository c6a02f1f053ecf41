"""Read a request and work out what it would be: route, mode of the budget, estimate, whose limits it counts against."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from common.contracts.identifiers import uuid7
from common.contracts.prices import ModelPrice
from gateway.domain import chat_request
from gateway.domain.calendar import Calendar
from gateway.domain.caller import Caller
from gateway.domain.chat_request import ChatRequest, Fields
from gateway.domain.estimate import Estimate, Mode, likely_estimate, strict_estimate
from gateway.domain.learned_usage import LearnedUsage
from gateway.domain.patience import Patience
from gateway.domain.refusals import ModelNotFound
from gateway.domain.routing import TIERS, Route, Routes, allowed, choose, tier_signal
from gateway.domain.run import Run
from gateway.domain.standing import Standing
from gateway.use_cases.take_hold import TakeHold

CountTokens = Callable[[str, ChatRequest], int | None]
"""Tokens of a request's text by the tokenizer of a model's family; None where that is not known."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """`dearest`: the rates that stand in for a missing price where the project says so; `wait_seconds`: how long a request may wait for its
    limits. Nothing is held or written yet.
    """

    routes: Routes
    calendar: Calendar
    take_hold: TakeHold
    learned: LearnedUsage
    count_tokens: CountTokens
    dearest: ModelPrice
    wait_seconds: float

    def __call__(self, caller: Caller, body: bytes, asked_tier: str | None, endpoint: str) -> Run:
        """Raises BadRequest, ModelNotFound or BudgetUnavailable."""
        now = self.take_hold.grants.now_ms()
        began = time.perf_counter()
        request, fields = chat_request.read(body)
        characters = request.characters()
        route = self._route(caller, request, asked_tier, characters)
        day = self.calendar.day(caller.organization.zone_at(now), now)
        end_user = request.end_user
        standing = self.take_hold.standing(caller, day, end_user)
        price = self._price(caller, route, standing)
        run = Run(
            event_id=uuid7(),
            caller=caller,
            endpoint=endpoint,
            request=request,
            fields=fields,
            body_length=len(body),
            route=route,
            tier_signal=tier_signal(
                self.routes, caller.project.tier, request.model, asked_tier=asked_tier, characters=characters
            ),
            estimate=self._estimate(standing.mode or "strict", caller, request, fields, len(body), route, price),
            end_user=end_user,
            standing=standing,
            patience=Patience(self.wait_seconds),
            admitted_at=now,
            began=began,
        )
        run.price = price if price is self.dearest else None
        return run

    def _route(self, caller: Caller, request: ChatRequest, asked_tier: str | None, characters: int) -> Route:
        named = asked_tier if asked_tier is not None and request.model in TIERS else request.model
        if not allowed(named, caller.key.models, caller.project.models):
            raise ModelNotFound(f"The model '{request.model}' does not exist or you do not have access to it.", param="model")
        return choose(self.routes, caller.project.tier, request.model, asked_tier=asked_tier, characters=characters)

    def _price(self, caller: Caller, route: Route, standing: Standing) -> ModelPrice | None:
        if route.has_unpriced and standing.costs_are_limited and caller.project.on_unpriced == "estimate":
            return self.dearest
        return route.bound_price

    def _estimate(
        self,
        mode: Mode,
        caller: Caller,
        request: ChatRequest,
        fields: Fields,
        body_length: int,
        route: Route,
        price: ModelPrice | None,
    ) -> Estimate:
        default_cap = self.routes.default_output_cap
        if mode == "strict":
            return strict_estimate(request, fields, body_length, price, default_cap)
        shape = self.learned.shape(caller.key.key_id, route.name)
        return likely_estimate(
            mode,
            request,
            fields,
            body_length,
            price,
            default_cap,
            shape=shape,
            counted=None if shape is not None else self.count_tokens(route.candidates[0].family, request),
            likely_output=self.learned.likely_output(route.name),
        )
