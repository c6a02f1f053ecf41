"""List the models that a caller may name."""

from gateway.domain.caller import Caller
from gateway.domain.routing import AUTO, Routes, allowed


def list_models(routes: Routes, caller: Caller) -> list[str]:
    """Names in the order of the routes file, tiers first; without those that a request would be refused for."""
    empty = {name for name, route in routes.tiers.items() if routes.within(route, caller.project.tier) is None}
    if len(empty) == len(routes.tiers):
        empty.add(AUTO)
    return [name for name in routes.names() if name not in empty and allowed(name, caller.key.models, caller.project.models)]
