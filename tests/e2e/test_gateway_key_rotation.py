"""Secrets that come and go while the key stays: rotation with an overlap, its end, and the hour at which a key expires."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e.harness import Project, World
from tests.e2e.running_stack import call, eventually


def let_in(world: World, secret: str) -> set[int]:
    """What the two gateways answer to a secret."""
    return {call("GET", f"{gateway.url}/v1/models", bearer=secret).status for gateway in world.gateways[:2]}


def wait(world: World, secret: str, status: int) -> None:
    """Until both gateways answer so."""
    eventually(lambda: let_in(world, secret) == {status})


def rotate(world: World, key: Project, **fields: Any) -> Any:
    """Accounts' answer, once both gateways know the new secret."""
    rotated = world.manage("POST", f"/projects/{key.id}/keys/{key.key_id}/rotate", fields)
    wait(world, rotated["key"], 200)
    return rotated


def test_both_secrets_work_until_the_rotation_is_ended(world: World) -> None:
    """Then the new one alone; the requests of both are booked under the same key."""
    key = world.new_project()
    new = Project(key.id, rotate(world, key, overlap_seconds=3600)["key"], key.key_id)
    assert [gateway.chat(secret).status for gateway in world.gateways[:2] for secret in (key, new)] == [200] * 4
    assert {row["key_id"] for row in world.compare(key, 4).values()} == {key.key_id}
    world.manage("POST", f"/projects/{key.id}/keys/{key.key_id}/rotation/end")
    wait(world, key.key, 401)
    assert let_in(world, new.key) == {200}


def test_the_old_secret_ends_by_the_clock(world: World) -> None:
    """After the overlap, without anybody saying so; not before."""
    key = world.new_project()
    rotated = rotate(world, key, overlap_seconds=8)
    ends = datetime.fromisoformat(rotated["rotation"]["old_secret_until"])
    seen = let_in(world, key.key)
    if datetime.now(UTC) < ends:  # on a machine that has stalled it may be over by now
        assert seen == {200}
    wait(world, key.key, 401)
    assert datetime.now(UTC) >= ends
    assert let_in(world, rotated["key"]) == {200}


def test_without_an_overlap_the_old_secret_ends_at_once(world: World) -> None:
    """As for a secret that has leaked."""
    key = world.new_project()
    rotated = rotate(world, key, overlap_seconds=0)
    wait(world, key.key, 401)
    assert let_in(world, rotated["key"]) == {200}


def test_two_secrets_live_at_most(world: World) -> None:
    """Rotating during an overlap ends the one that was on its way out already."""
    key = world.new_project()
    second = rotate(world, key, overlap_seconds=3600)["key"]
    third = rotate(world, key, overlap_seconds=3600)["key"]
    wait(world, key.key, 401)
    assert [let_in(world, secret) for secret in (second, third)] == [{200}, {200}]


def test_revoking_ends_both_secrets(world: World) -> None:
    """And for ever: a revoked key cannot be rotated."""
    key = world.new_project()
    new = rotate(world, key, overlap_seconds=3600)["key"]
    world.manage("DELETE", f"/projects/{key.id}/keys/{key.key_id}")
    for secret in (key.key, new):
        wait(world, secret, 401)


def test_an_expiry_is_moved_nearer_and_lifted(world: World) -> None:
    """The key closes at its hour and opens again when the hour is taken back."""
    key = world.new_project()
    path = f"/projects/{key.id}/keys/{key.key_id}"
    expires = datetime.now(UTC) + timedelta(seconds=5)
    world.manage("PATCH", path, {"expires_at": expires.isoformat()})
    wait(world, key.key, 401)
    assert datetime.now(UTC) >= expires
    world.manage("PATCH", path, {"expires_at": None})
    wait(world, key.key, 200)
