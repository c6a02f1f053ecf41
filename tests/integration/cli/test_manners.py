"""What holds for all commands: exit codes, configuration, questions, completion, output for scripts."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from devstack.servers.ports import free_port
from tests.integration.cli.conftest import Service
from tests.integration.cli.terminal import Terminal

MakeTerminal = Callable[..., Terminal]


class _Stranger(BaseHTTPRequestHandler):
    """Answers everything with a page of its own."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>It works!</h1>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of a web server that is not ours."""
    with HTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_service_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    """With its address, and without a stack trace."""
    url = f"http://127.0.0.1:{free_port()}"
    ran = Terminal(tmp_path, url).run("login", "--email", "ada@example.com", "--stdin", stdin="password\n", code=3)
    assert url in ran.err
    assert ran.out == ""


def test_a_stranger_is_not_taken_for_the_service(tmp_path: Path, stranger: str) -> None:
    """An answer that is not of accounts is no success."""
    ran = Terminal(tmp_path, stranger).run("login", "--email", "ada@example.com", "--stdin", stdin="password\n", code=3)
    assert "Is the address right?" in ran.err


def test_wrong_use_is_exit_code_2(ada: Terminal, tmp_path: Path) -> None:
    """Unknown commands, options and values, and what cannot be meant."""
    for words in (
        ("kyes",),
        ("keys", "list", "--colour"),
        ("orgs", "list", "--page-size", "0"),
        ("members", "set-role", "x", "king"),
    ):
        ran = ada.run(*words, code=2)
        assert ran.out == ""
        assert ran.err
    assert "Which project?" in ada.run("keys", "list", code=2).err
    assert "Nothing to change" in ada.run("projects", "update", "chat", code=2).err
    assert "give an amount in USD" in ada.run("limits", "set", "project", "chat", "monthly-cost=1e3", code=2).err
    assert "CODEXFLOW_URL" in Terminal(tmp_path).run("whoami", code=2).err


def test_a_refusal_is_exit_code_1_with_the_services_sentence(ada: Terminal) -> None:
    """Fields that are to blame are named; stdout stays empty, also with --json."""
    ran = ada.run("orgs", "create", "Other", "--time-zone", "Mars/Olympus", "--json", code=1)
    assert "time_zone" in ran.err
    assert ran.out == ""
    assert "There is no project nowhere" in ada.run("projects", "show", "nowhere", code=1).err


def test_json_is_the_services_own_document(ada: Terminal, service: Service) -> None:
    """Byte for byte what HTTP answers, and nothing on stderr."""
    ada.run("whoami")  # so that the token is a fresh one
    token = next(iter(json.loads((ada.folder / "credentials.json").read_text()).values()))["access_token"]
    answer = httpx.get(f"{service.url}/api/v1/organizations?limit=50", headers={"authorization": f"Bearer {token}"}, timeout=60)
    ran = ada.run("orgs", "list", "--json")
    assert ran.out == answer.text + "\n"
    assert ran.err == ""


def test_pages_are_gone_through_by_cursor(ada: Terminal) -> None:
    """The hint of one page is what the next command takes."""
    for name in ("Page one", "Page two"):
        ada.run("plans", "create", name)
    first = ada.run("plans", "list", "--page-size", "1")
    cursor = first.err.rpartition("--cursor ")[2].strip()
    assert cursor == ada.json("plans", "list", "--page-size", "1")["next_cursor"]
    second = ada.run("plans", "list", "--page-size", "1", "--cursor", cursor)
    assert first.out != second.out


def test_what_cuts_off_asks_first(ada: Terminal) -> None:
    """At a keyboard a no changes nothing; without one it takes --yes."""
    ada.run("projects", "create", "Asked")
    shown = ada.type("projects", "suspend", "asked", answers=(("Close all keys of asked?", "n"),), code=130)
    assert "Nothing was changed" in shown
    assert "--yes" in ada.run("projects", "suspend", "asked", code=2).err
    assert ada.json("projects", "show", "asked")["status"] == "active"
    ada.type("projects", "suspend", "asked", answers=(("Close all keys of asked?", "y"),))
    assert ada.json("projects", "show", "asked")["status"] == "suspended"
    assert ada.json("projects", "resume", "asked")["status"] == "active"


def test_configuration_names_what_is_meant(ada: Terminal, service: Service, make_terminal: MakeTerminal) -> None:
    """Options over the environment over config.toml."""
    project = ada.json("projects", "create", "Configured")
    (ada.folder / "config.toml").write_text('organization = "demo"\nproject = "configured"\n')
    try:
        assert ada.json("projects", "show")["id"] == project["id"]
        assert ada.json("projects", "show", env={"CODEXFLOW_PROJECT": "chat"})["slug"] == "chat"
        assert ada.json("projects", "show", "configured", env={"CODEXFLOW_PROJECT": "chat"})["slug"] == "configured"
        assert ada.json("projects", "show", project["id"], env={"CODEXFLOW_ORGANIZATION": "elsewhere"})["slug"] == "configured"
    finally:
        (ada.folder / "config.toml").unlink()


def test_the_development_stack_is_found(tmp_path: Path, service: Service) -> None:
    """In the checkout of a `make up` nothing has to be configured."""
    terminal = Terminal(tmp_path)
    (terminal.work / ".codexflow").mkdir()
    (terminal.work / ".codexflow/stack.json").write_text(json.dumps({"accounts_url": service.url}))
    terminal.sign_in("ada@example.com").run("whoami")


def test_the_shell_completes_commands(tmp_path: Path) -> None:
    """Bash asks the program itself."""
    ran = Terminal(tmp_path).run(env={"_CODEXFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "codexflow ke", "COMP_CWORD": "1"})
    assert ran.out.split() == ["keys"]
    words = "codexflow limits set project chat monthly"
    ran = Terminal(tmp_path).run(env={"_CODEXFLOW_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "5"})
    assert ran.out.split() == ["monthly-tokens=", "monthly-cost="]
