"""SIGTERM: unready first, what runs may finish, what does not is cut and told so, everything is booked, the boot is closed."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.harness import READY_SECONDS, Gateway, Project, World, events
from tests.e2e.running_stack import Answer, eventually

SHORT = {"model": "sim-fault-slow.20", "max_tokens": 50}
LONG = {"model": "sim-fault-slow.1000", "max_tokens": 300}
DRAIN_SECONDS = 6
"""Much longer than a short answer takes, much shorter than a long one."""


@pytest.fixture
def leaving(world: World) -> Iterator[Gateway]:
    """A gateway to be stopped."""
    gateway = world.add_gateway(UPSTREAM_FIRST_BYTE_SECONDS="90", DRAIN_SECONDS=str(DRAIN_SECONDS))
    yield gateway
    world.remove_gateway(gateway)


def tell(gateway: Gateway, project: Project, fields: dict[str, Any]) -> list[dict[str, Any]]:
    with gateway.stream(project, "A story, please.", **fields) as response:
        return list(events(response))


def test_what_runs_may_finish_and_the_rest_is_cut(world: World, leaving: Gateway) -> None:
    """Short answers end properly, long streams with an error event, long whole answers with a 503; exit code 0; nothing is lost."""
    project = world.new_project(tokens=10**9)
    process = leaving.process
    with ThreadPoolExecutor(2) as threads:
        long = threads.submit(tell, leaving, project, LONG)
        whole = threads.submit(leaving.chat, project, "A story, please.", **LONG)
        world.wait_upstream(2, LONG["model"])
        with leaving.stream(project, "A story, please.", **SHORT) as response:
            short = events(response)
            next(short)
            began = time.monotonic()
            process.send(signal.SIGTERM)
            eventually(lambda: leaving.dependencies()["status"] == "unready")
            refused = leaving.chat(project)
            assert (refused.status, refused.json["error"]["code"]) == (503, "shutting_down")
            assert list(short)[-1] == {"done": True}
        assert long.result()[-1]["error"]["code"] == "shutting_down"
        late: Answer = whole.result()
        assert (late.status, late.json["error"]["code"]) == (503, "shutting_down")
    assert eventually(lambda: process.exit_code is not None or None)
    assert process.exit_code == 0
    assert time.monotonic() - began >= DRAIN_SECONDS
    assert "Traceback" not in process.log.read_text()
    rows = world.compare(project, 3).values()
    assert sorted(row["status"] for row in rows) == ["error", "ok", "upstream_cut"]
    assert {row["error_code"] for row in rows} == {None, "shutting_down"}


def test_an_idle_gateway_goes_at_once_and_gives_back(world: World) -> None:
    """Without requests there is nothing to wait for; its boot is closed and what it was granted and did not spend is free again."""
    project = world.new_project(tokens=10**9)
    leaving = world.add_gateway(DRAIN_SECONDS="600")
    assert leaving.chat(project).status == 200
    (row,) = world.compare(project, 1).values()
    assert world.remove_gateway(leaving) == 0
    boot = row["boot"]

    def books(sql: str) -> str:
        return world.postgres.run_sql(sql, database="codexflow").strip()

    eventually(lambda: books(f"SELECT closed FROM usage.boots WHERE boot = '{boot}'") == "t")  # noqa: S608 - our own id
    granted = books(f"SELECT granted_tokens FROM usage.grants WHERE boot = '{boot}' AND scope_id = '{project.id}'")  # noqa: S608 - our own ids
    assert granted in ("", str(row["prompt_tokens"] + row["completion_tokens"]))


def test_the_next_boot_works_on(world: World, leaving: Gateway) -> None:
    """Stopped and started again on the same folder: the same budgets, and a key made meanwhile is never called wrong."""
    project = world.new_project(tokens=10**9)
    assert leaving.chat(project).status == 200
    assert leaving.stop() == 0
    fresh = world.new_key(project.id)
    leaving.process.start()
    leaving.process.wait_ready(lambda: _answers(leaving, fresh), timeout=READY_SECONDS)
    assert leaving.chat(fresh).status == 200


def _answers(gateway: Gateway, project: Project) -> bool:
    """Whether a gateway that is starting takes requests; until then it may be deaf or say 503, but not 401."""
    try:
        status = gateway.chat(project).status
    except OSError:
        return False
    assert status in (200, 503)
    return status == 200
