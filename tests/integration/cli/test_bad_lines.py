"""A connection that breaks, and a service whose signing key was replaced."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, DefaultSelector
from urllib.parse import urlsplit

import pytest

from tests.integration.cli.conftest import Service
from tests.integration.cli.terminal import Terminal

CREATE = b"POST /api/v1/organizations/"


class BadLine:
    """A proxy that lets a create through and hangs up in place of its answer, the first time."""

    def __init__(self, url: str) -> None:
        self._there = (urlsplit(url).hostname, urlsplit(url).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.dropped = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """No more calls."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(here,), daemon=True).start()

    def _carry(self, here: socket.socket) -> None:
        drop = False
        with here, socket.create_connection(self._there) as there, DefaultSelector() as both:
            both.register(here, EVENT_READ, there)
            both.register(there, EVENT_READ, here)
            while True:
                for ready, _ in both.select():
                    piece = ready.fileobj.recv(65536)
                    drop = drop or (ready.fileobj is here and CREATE in piece and not self.dropped)
                    if not piece:
                        return
                    if drop and ready.fileobj is there:
                        self.dropped += 1
                        return
                    ready.data.sendall(piece)


@pytest.fixture
def bad_line(service: Service) -> Iterator[BadLine]:
    """To the service of the session."""
    line = BadLine(service.url)
    yield line
    line.close()


def test_a_create_whose_answer_was_lost_is_made_once(bad_line: BadLine, ada: Terminal) -> None:
    """The command asks again under the same idempotency key, and shows the first answer."""
    ada.run("whoami")  # so that the token is a fresh one
    token = next(iter(json.loads((ada.folder / "credentials.json").read_text()).values()))["access_token"]
    ran = ada.json("projects", "create", "Once", env={"CODEXFLOW_URL": bad_line.url, "CODEXFLOW_TOKEN": token})
    assert bad_line.dropped == 1
    assert [item["id"] for item in ada.json("projects", "list")["data"] if item["name"] == "Once"] == [ran["id"]]


def test_an_access_token_that_is_refused_is_exchanged(make_terminal: Callable[..., Terminal], service: Service) -> None:
    """Though it had time left, as after a change of the signing key; for a download as for any other command."""
    terminal = make_terminal().sign_in("ada@example.com")
    file = terminal.folder / "credentials.json"
    for words in (("whoami",), ("audit", "export", "--organization", service.seeded["organization_id"])):
        held = json.loads(file.read_text())
        file.write_text(json.dumps({url: {**entry, "access_token": "of another key"} for url, entry in held.items()}))
        assert terminal.run(*words).out
        assert "of another key" not in file.read_text()
