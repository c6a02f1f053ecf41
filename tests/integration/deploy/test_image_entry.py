"""The two programs of the image, run as the image runs them."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of deploy/docker with an environment of its own."""
    return subprocess.run(
        [sys.executable, ROOT / "deploy/docker" / program, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def answering() -> Iterator[tuple[int, list[int]]]:
    """A server whose /healthz answers the status at the head of the list; its port and that list."""
    statuses = [200]

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[0] if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, statuses
        server.shutdown()
        thread.join(timeout=60)


def test_the_entry_runs_its_service(tmp_path: Path) -> None:
    """The program becomes `python -m <service>` of the service the image was built for, arguments and exit code included."""
    package = tmp_path / "accounts"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\nprint(__name__, *sys.argv[1:])\nsys.exit(7)\n")
    ran = run("run.py", "serve", CODEXFLOW_SERVICE="accounts", PYTHONPATH=str(tmp_path))
    assert (ran.stdout, ran.returncode) == ("__main__ serve\n", 7)


def test_health_follows_the_service(answering: tuple[int, list[int]]) -> None:
    """The check asks /healthz at the service's own port: 0 while it answers, 1 with a reason when it fails."""
    port, statuses = answering
    # It waits two seconds for an answer, which a stalled machine may take.
    codes = (run("healthy.py", CODEXFLOW_SERVICE="usage", USAGE_PORT=str(port)).returncode for _ in range(10))
    assert 0 in codes
    statuses[0] = 503
    failing = run("healthy.py", CODEXFLOW_SERVICE="usage", USAGE_PORT=str(port))
    assert failing.returncode == 1
    assert failing.stderr.startswith("usage: ")


def test_a_silent_service_is_not_healthy() -> None:
    """Nobody listening is said in one line, without a traceback."""
    silent = run("healthy.py", CODEXFLOW_SERVICE="gateway", GATEWAY_PORT="1")
    assert silent.returncode == 1
    assert silent.stderr.count("\n") == 1
