"""Starting, stopping and starting again: data stays, faults are said in a sentence, nothing is left running."""

import os
import signal
import subprocess
import sys

import pytest

from devstack.servers.ports import free_port
from devstack.servers.process import Process
from devstack.stack.http import is_ready
from devstack.stack.identity import started_at
from devstack.stack.settings import CHECKOUT
from tests.e2e.running_stack import RunningStack, call, environment, eventually, free_ports, taken_port


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A state folder whose first start is over; nothing runs."""
    state = tmp_path_factory.mktemp("again") / "state"
    running = RunningStack(state, environment(state, **free_ports(2)))
    done = running.devstack("up", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    assert running.devstack("down").returncode == 0
    return running


@pytest.fixture
def stack(seeded):
    """The seeded stack, to be started by the test; stopped at the end."""
    yield seeded
    assert seeded.devstack("down").returncode == 0


def _all_gone(pids: dict[str, int]) -> bool:
    return not any(started_at(pid) for pid in pids.values())


def test_a_second_start_takes_up_the_same_data(stack):
    """The same key works and is not printed again; `down` leaves no process behind."""
    key = stack.api_key
    again = stack.devstack("up", "--detach")
    assert again.returncode == 0, again.stderr
    assert key not in again.stdout
    assert stack.api_key == key
    assert stack.chat().status == 200
    pids = stack.described["pids"]
    assert stack.devstack("down").returncode == 0
    assert _all_gone(pids)


def test_down_is_idempotent_and_status_says_not_running(make_stack):
    """Without a stack: `down` succeeds, `status` exits 3, `reset` has nothing to do."""
    stack = make_stack()
    assert stack.devstack("down").returncode == 0
    assert stack.devstack("status").returncode == 3
    assert stack.devstack("reset").returncode == 0


def test_ctrl_c_stops_everything_cleanly(make_stack):
    """A foreground stack ends with 0 on SIGINT and leaves no process behind; its data can be reset."""
    stack = make_stack()
    argv = [sys.executable, "-m", "devstack", "up"]
    with subprocess.Popen(argv, env=stack.env, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as supervisor:
        for line in supervisor.stdout:
            if line.startswith("Stop:"):
                break
        pids = stack.described["pids"]
        assert stack.devstack("reset").returncode == 2
        assert stack.devstack("up").returncode == 2
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(60) == 0
    assert _all_gone(pids)
    assert stack.described["pids"] == {}
    assert stack.devstack("reset").returncode == 0
    assert not stack.state.exists()


@pytest.mark.parametrize("variable", ["GATEWAY_PORT", "ACCOUNTS_PORT", "USAGE_PORT"])
def test_a_taken_port_is_named_before_anything_starts(make_stack, variable):
    """One sentence with the port and the variable to change, a non-zero exit, and nothing was started."""
    with taken_port() as taken:
        port = taken.getsockname()[1]
        stack = make_stack(**{variable: str(port)})
        done = stack.make("up", "DETACH=1")
        assert done.returncode != 0
        assert f"Port {port}" in done.stderr
        assert variable in done.stderr
        assert not (stack.state / "logs").exists()


def test_several_gateways_share_keys(stack):
    """GATEWAYS=2 runs two instances ten ports apart; both know the key, and a revoked key is refused by both."""
    stack = RunningStack(stack.state, {**stack.env, "GATEWAYS": "2"})
    assert stack.devstack("up", "--detach").returncode == 0
    urls = stack.described["gateway_urls"]
    assert len(urls) == 2
    assert {"gateway", "gateway-2"} <= stack.described["pids"].keys()
    assert [stack.chat(gateway=url).status for url in urls] == [200, 200]
    project = stack.described["project_id"]
    issued = stack.manage("POST", f"/projects/{project}/keys", {"name": "short-lived"})
    for url in urls:
        eventually(lambda url=url: stack.chat(gateway=url, key=issued["key"]).status == 200)
    stack.manage("DELETE", f"/projects/{project}/keys/{issued['id']}")
    for url in urls:
        eventually(lambda url=url: stack.chat(gateway=url, key=issued["key"]).status == 401)


def test_a_dying_part_stops_the_stack_and_is_named(stack):
    """When a service dies, everything is stopped and `status` says which it was."""
    assert stack.devstack("up", "--detach").returncode == 0
    pids = stack.described["pids"]
    os.kill(pids["usage"], signal.SIGKILL)
    eventually(lambda: _all_gone(pids))
    status = stack.devstack("status")
    assert status.returncode == 3
    assert "usage ended" in status.stdout


def test_a_killed_supervisor_is_cleaned_up_by_the_next_start(stack):
    """kill -9 of the supervisor leaves its processes; the next start ends them and takes up the data."""
    assert stack.devstack("up", "--detach").returncode == 0
    first = stack.described
    os.kill(first["pids"]["supervisor"], signal.SIGKILL)
    eventually(lambda: stack.devstack("status").returncode == 3)
    again = stack.devstack("up", "--detach")
    assert again.returncode == 0, again.stderr
    assert _all_gone(first["pids"])
    assert stack.chat().status == 200


def test_a_server_that_fails_is_named_with_its_log(stack):
    """`up` ends with 1, says which server and why, and stops what it had started."""
    version = stack.state / "postgres/data/PG_VERSION"
    content = version.read_text()
    version.unlink()
    try:
        done = stack.devstack("up", "--detach")
    finally:
        version.write_text(content)
        version.chmod(0o600)
    assert done.returncode == 1
    assert "postgres ended with exit code 1" in done.stderr
    assert "not a valid data directory" in done.stderr
    assert stack.devstack("status").returncode == 3


@pytest.fixture
def compatible_server(tmp_path):
    """An OpenAI-compatible server of somebody else's that wants the key `sk-theirs`; its address."""
    port = free_port()
    argv = [sys.executable, "-m", "devstack.provider", "--port", str(port), "--api-key", "sk-theirs", "--alias", "gpt-4o-mini"]
    server = Process("theirs", argv, tmp_path / "log")
    server.start()
    server.wait_ready(lambda: is_ready(port, "/healthz"), timeout=90)
    yield f"http://127.0.0.1:{port}"
    server.stop()


def test_a_configured_upstream_is_used_with_its_key(stack, compatible_server):
    """UPSTREAM_BASE_URL and OPENAI_API_KEY replace the simulated provider; the key stands in no file of the state folder."""
    env = {**stack.env, "UPSTREAM_BASE_URL": compatible_server, "OPENAI_API_KEY": "sk-theirs"}
    theirs = RunningStack(stack.state, env)
    done = theirs.devstack("up", "--detach")
    assert done.returncode == 0, done.stderr
    assert f"{compatible_server}/v1" in done.stdout
    assert theirs.described["provider_url"] is None
    answer = theirs.chat(model="fast")
    assert answer.status == 200, answer.body
    assert call("GET", f"{compatible_server}/_sim/totals").json["requests"] == 1
    for file in (path for path in stack.state.rglob("*") if path.is_file() and "postgres" not in path.parts):
        assert b"sk-theirs" not in file.read_bytes(), file
