"""A person's terminal: a home of its own and the console script `codexflow` as it is installed."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).parent / "codexflow"
PASSWORD = "password"
"""That all people of the tests have."""
SECONDS = 120.0
"""A command takes half a second; a machine that stands still must not fail a test."""


@dataclass(frozen=True)
class Ran:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Stdout as the one JSON document that it has to be."""
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]


class Terminal:
    """Runs commands; what it stores lies under `home`."""

    def __init__(self, home: Path, url: str | None = None, **more: str) -> None:
        self.home = home
        self.folder = home / "config/codexflow"
        self.work = home / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CODEXFLOW_")}
        own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "NO_PROXY": "127.0.0.1", "TERM": "dumb"}
        self.env = {**inherited, **own, **({"CODEXFLOW_URL": url} if url else {}), **more}

    def run(self, *arguments: str, stdin: str = "", code: int = 0, env: dict[str, str] | None = None) -> Ran:
        """A command to its end, which is to come with this exit code."""
        done = self._ran(*arguments, stdin=stdin, env=env)
        assert done.code == code, f"{arguments}: {done.code}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.err
        return done

    def _ran(self, *arguments: str, stdin: str, env: dict[str, str] | None) -> Ran:
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            env={**self.env, **(env or {})},
            cwd=self.work,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Any:
        """The document that the command prints with --json."""
        return self.run(*arguments, "--json", stdin=stdin, env=env).document

    def sign_in(self, email: str) -> "Terminal":
        """Log in by password, and stay so."""
        self.log_in(email)
        return self

    def log_in(self, email: str, password: str = PASSWORD, env: dict[str, str] | None = None) -> Ran:
        """The same, and what it said. Waits where the service asks to: one person signs in often in these tests."""
        deadline = time.monotonic() + SECONDS
        while True:
            done = self._ran("login", "--email", email, "--stdin", stdin=f"{password}\n", env=env)
            if "Too many attempts" not in done.err or time.monotonic() > deadline:
                assert done.code == 0, done.err
                return done
            time.sleep(1.0)

    def type(self, *arguments: str, answers: tuple[tuple[str, str], ...], code: int = 0) -> str:
        """The same command at a keyboard: each answer is typed when its question stands there. All that the screen showed."""
        screen, keyboard = pty.openpty()
        process = subprocess.Popen(
            [str(PROGRAM), *arguments],
            env=self.env,
            cwd=self.work,
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            start_new_session=True,
        )
        os.close(keyboard)
        try:
            shown = ""
            for question, answer in answers:
                shown += _read_until(screen, question)
                os.write(screen, f"{answer}\n".encode())
            shown += _read_until(screen, None)
            assert process.wait(SECONDS) == code, shown
        finally:
            process.kill()
            process.wait()
            os.close(screen)
        return shown


def _read_until(screen: int, wanted: str | None) -> str:
    """What is shown up to and with this text; None = up to the end of the program."""
    shown = b""
    deadline = time.monotonic() + SECONDS
    while wanted is None or wanted.encode() not in shown:
        assert time.monotonic() < deadline, f"{wanted} never came: {shown.decode(errors='replace')}"
        if select.select([screen], [], [], 1.0)[0]:
            try:
                read = os.read(screen, 4096)
            except OSError:  # how Linux says that nobody holds the other side any more
                read = b""
            if not read:
                assert wanted is None, f"ended before {wanted}: {shown.decode(errors='replace')}"
                break
            shown += read
    return shown.decode(errors="replace")
