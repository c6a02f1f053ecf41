"""List the models that a caller may name."""

from gateway.domain.caller import Caller
from gateway.domain.routing import Routes, allowed


def list_models(routes: Routes, caller: Caller) -> list[str]:
    """Names in the order of the routes file, tiers first."""
    return [name for name in routes.names() if allowed(name, caller.key.models, caller.project.models)]
