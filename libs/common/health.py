"""Liveness and readiness, the same on every service: /healthz, /readyz with each dependency's state and age, /metrics."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

State = Literal["up", "down", "degraded"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """What a readiness check found: `age_seconds` since it was last confirmed, `needed` = the service is unready without it."""

    name: str
    state: State
    needed: bool
    age_seconds: float | None = None
    detail: str | None = None


Check = Callable[[], list[Dependency]]
PUBLIC = {"x-permission": "public"}


def health_routes(check: Check, registry: CollectorRegistry = REGISTRY) -> APIRouter:
    """The three routes. `check` must answer from memory: it may not block or reach for the network."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Alive: the event loop runs", openapi_extra=PUBLIC)
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Ready, with each dependency's state and age", openapi_extra=PUBLIC)
    async def readyz() -> JSONResponse:
        found = check()
        ready = all(dependency.state != "down" for dependency in found if dependency.needed)
        body = {
            "status": "ready" if ready else "unready",
            "dependencies": {
                dependency.name: {
                    "state": dependency.state,
                    "needed": dependency.needed,
                    "age_seconds": None if dependency.age_seconds is None else round(dependency.age_seconds, 3),
                    "detail": dependency.detail,
                }
                for dependency in found
            },
        }
        return JSONResponse(body, status_code=200 if ready else 503)

    @router.get("/metrics", summary="Prometheus metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class Heartbeat:
    """When something last worked, for a dependency's age; monotonic clock."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: float | None = None

    def beat(self) -> None:
        """It worked just now."""
        self.last = time.monotonic()

    @property
    def age(self) -> float | None:
        """Seconds since the last beat, None before the first."""
        return None if self.last is None else time.monotonic() - self.last
