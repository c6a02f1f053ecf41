"""Signing in and out, and how the sign-in is kept."""

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.integration.accounts.process import seed
from tests.integration.cli.conftest import Service
from tests.integration.cli.terminal import PROGRAM, SECONDS, Terminal

EMAIL = "ada@example.com"
MakeTerminal = Callable[..., Terminal]


def stored(terminal: Terminal) -> dict[str, dict[str, object]]:
    """credentials.json."""
    return json.loads((terminal.folder / "credentials.json").read_text())


def outdate(terminal: Terminal) -> None:
    """Make the stored access token look expired."""
    file = terminal.folder / "credentials.json"
    file.write_text(json.dumps({url: {**entry, "expires_at": 0.0} for url, entry in stored(terminal).items()}))


def test_a_sign_in_lasts_beyond_the_command(make_terminal: MakeTerminal) -> None:
    """The next command knows who it is; after logging out it does not, and the service does not take the token any more."""
    terminal = make_terminal()
    terminal.sign_in(EMAIL)
    me = terminal.json("whoami")
    assert (me["email"], me["kind"], list(me["roles"].values())) == (EMAIL, "user", ["owner"])
    token = next(iter(stored(terminal).values()))["access_token"]
    assert "Signed out" in terminal.run("logout").err
    assert not (terminal.folder / "credentials.json").exists()
    assert "codexflow login" in terminal.run("whoami", code=4).err
    assert terminal.run("whoami", env={"CODEXFLOW_TOKEN": str(token)}, code=4).out == ""


def test_the_sign_in_is_private(make_terminal: MakeTerminal) -> None:
    """0600, in a folder of 0700; and no password is in it."""
    terminal = make_terminal()
    terminal.sign_in(EMAIL)
    file = terminal.folder / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    entry = stored(terminal)[terminal.env["CODEXFLOW_URL"]]
    assert entry.keys() == {"refresh_token", "access_token", "expires_at", "email"}
    assert "password" not in entry.values()


def test_a_password_is_typed_unseen(service: Service, make_terminal: MakeTerminal) -> None:
    """At a keyboard both are asked for; what is typed for the password does not appear."""
    terminal, email = make_terminal(), "typist@example.com"
    seed(service.env, email, organization="Typing")
    shown = terminal.type("login", answers=(("Email", email), ("Password", "password")))
    assert "Signed in" in shown
    assert "password" not in shown
    terminal.run("whoami")


def test_a_wrong_password_is_refused(make_terminal: MakeTerminal) -> None:
    """By the service's own sentence, with exit code 1; what was tried is not repeated, and nothing is kept."""
    terminal = make_terminal()
    ran = terminal.run("login", "--email", "nobody@example.com", "--stdin", stdin="hunter2hunter2\n", code=1)
    assert ran.err == "The email or the password is wrong.\n"
    assert ran.out == ""
    assert not (terminal.folder / "credentials.json").exists()


def test_without_a_keyboard_nothing_is_guessed(make_terminal: MakeTerminal) -> None:
    """A script that gives no password is told how to, instead of hanging."""
    terminal = make_terminal()
    assert "--stdin" in terminal.run("login", "--email", EMAIL, code=2).err
    assert "nothing was given" in terminal.run("login", "--email", EMAIL, "--stdin", code=2).err


def test_an_old_access_token_is_exchanged(make_terminal: MakeTerminal) -> None:
    """The command renews the sign-in on its own, keeps what it got, and says nothing of it."""
    terminal = make_terminal().sign_in(EMAIL)
    before = stored(terminal)
    outdate(terminal)
    assert terminal.run("whoami").err == ""
    after = stored(terminal)
    assert next(iter(after.values()))["refresh_token"] != next(iter(before.values()))["refresh_token"]
    assert stat.S_IMODE((terminal.folder / "credentials.json").stat().st_mode) == 0o600


def test_commands_at_the_same_time_do_not_end_the_sign_in(make_terminal: MakeTerminal) -> None:
    """A refresh token is for one use: of several commands one spends it, and the others take what that one got."""
    terminal = make_terminal().sign_in(EMAIL)
    outdate(terminal)
    start = {"env": terminal.env, "cwd": terminal.work, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([str(PROGRAM), "whoami"], **start) for _ in range(4)]
    ended = [(process.communicate(timeout=SECONDS), process.returncode) for process in running]
    assert [code for _, code in ended] == [0, 0, 0, 0], ended
    outdate(terminal)
    terminal.run("whoami")


def test_a_sign_in_that_was_ended_elsewhere_is_over(make_terminal: MakeTerminal) -> None:
    """Exit code 4 and what to do; signing out then is no error."""
    here, there = make_terminal().sign_in(EMAIL), make_terminal().sign_in(EMAIL)
    mine = here.json("whoami")["session_id"]
    assert mine in [session["id"] for session in there.json("sessions", "list", "--page-size", "200")["data"]]
    there.run("sessions", "end", mine)
    assert "codexflow login" in here.run("whoami", code=4).err
    assert "no sign-in" in here.run("logout").err
    there.run("whoami")


def test_each_service_has_its_own_sign_in(make_terminal: MakeTerminal, tmp_path: Path) -> None:
    """A token is never sent to another address than the one it came from."""
    terminal = make_terminal().sign_in(EMAIL)
    other = terminal.env["CODEXFLOW_URL"].replace("127.0.0.1", "localhost")
    assert f"Not signed in to {other}" in terminal.run("--url", other, "whoami", code=4).err


def test_a_token_in_the_environment_stands_for_a_sign_in(make_terminal: MakeTerminal) -> None:
    """It goes before the stored one, and the login says so."""
    terminal = make_terminal().sign_in(EMAIL)
    token = next(iter(stored(terminal).values()))["access_token"]
    assert make_terminal(CODEXFLOW_TOKEN=str(token)).json("whoami")["email"] == EMAIL
    ran = terminal.run("whoami", env={"CODEXFLOW_TOKEN": "cf-pat-wrong"}, code=4)
    assert "cf-pat-wrong" not in ran.err
    assert "CODEXFLOW_TOKEN" in terminal.log_in(EMAIL, env={"CODEXFLOW_TOKEN": "cf-pat-wrong"}).err
