"""Last use, the whole path: gateway, spool, usage, accounts."""

from datetime import UTC, datetime, timedelta

from tests.e2e.harness import World
from tests.e2e.running_stack import eventually


def test_a_request_at_the_gateway_shows_as_the_last_use_of_its_key(world: World) -> None:
    """Never used until then; afterwards the minute of the request. Another key of the project stays unused."""
    used = world.new_project()
    unused = world.manage("POST", f"/projects/{used.id}/keys", {"name": "unused"})
    begun = datetime.now(UTC).replace(second=0, microsecond=0)
    assert world.gateway.chat(used).status == 200

    def last_used(key_id: str) -> str | None:
        return world.manage("GET", f"/projects/{used.id}/keys/{key_id}")["last_used_at"]

    at = datetime.fromisoformat(eventually(lambda: last_used(used.key_id)))
    assert begun <= at <= datetime.now(UTC) + timedelta(seconds=1)
    assert last_used(unused["id"]) is None
