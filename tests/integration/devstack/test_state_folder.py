"""The state folder: private, of one version, of one stack at a time."""

import socket
import stat
import subprocess
import sys

import pytest

from devstack.stack.identity import is_alive, started_at
from devstack.stack.refusal import Refused
from devstack.stack.state import State


@pytest.fixture
def state(tmp_path):
    """An opened state folder."""
    opened = State(tmp_path / "state")
    opened.open()
    yield opened
    opened.close()


def test_everything_in_it_is_private(state):
    """The folder is 0700 and every file 0600, secrets first of all."""
    state.secrets()
    state.claim()
    state.server_ports(("nats",), avoid=set())
    assert stat.S_IMODE(state.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.folder.iterdir()} == {0o600}


def test_secrets_are_made_once(state):
    """A second start finds the same secrets: the data of the servers depends on them."""
    assert state.secrets() == State(state.folder).secrets()
    assert len(set(state.secrets().values())) == len(state.secrets())


def test_only_one_stack_at_a_time(state):
    """A second supervisor is refused, and so is deleting the folder meanwhile."""
    with pytest.raises(Refused, match="running"):
        State(state.folder).open()
    with pytest.raises(Refused, match="make down"):
        State(state.folder).delete()


def test_the_supervisor_is_known_by_its_lock(state):
    """It is found while it holds the lock, and not by its file alone."""
    state.claim()
    assert State(state.folder).supervisor() is not None
    state.close()
    assert State(state.folder).supervisor() is None


def test_another_version_is_refused_and_can_be_reset(state):
    """The sentence says `make reset`, and that deletes it."""
    state.close()
    (state.folder / "version").write_text("codexflow-state 0\n")
    with pytest.raises(Refused, match="make reset"):
        state.open()
    assert state.delete()
    assert not state.folder.exists()
    assert not state.delete()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    """Neither used nor deleted without our marker in it."""
    (tmp_path / "precious").write_text("data")
    for attempt in (State(tmp_path).open, State(tmp_path).delete):
        with pytest.raises(Refused, match="not a CodexFlow state folder"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_ports_are_remembered_and_chosen_anew_when_taken(state):
    """The same port as last time, unless somebody listens there now."""
    ports = state.server_ports(("nats", "postgres"), avoid=set())
    assert state.server_ports(("nats", "postgres"), avoid=set()) == ports
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["nats"]))
        taken.listen()
        chosen = state.server_ports(("nats", "postgres"), avoid=set())
    assert chosen["nats"] != ports["nats"]
    assert chosen["postgres"] == ports["postgres"]


def test_what_a_killed_supervisor_left_is_ended_and_nothing_else(state):
    """A recorded process is ended only while it is the one that was started: its number alone proves nothing."""
    ours, other = (subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(2))
    try:
        state.remember_process("ours", ours.pid)
        state.write("processes.json", state.read("processes.json") | {"other": {"pid": other.pid, "mark": "earlier"}})
        mark = started_at(ours.pid)
        assert state.end_orphans() == ["ours"]
        assert not is_alive(ours.pid, mark)
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()
