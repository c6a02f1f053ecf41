"""Where settings come from: options over the environment over config.toml over the development stack."""

import json
from pathlib import Path

import pytest

from codexflow_cli.errors import WrongUse
from codexflow_cli.settings import configuration_folder, load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder; the working directory is another, empty one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_options_over_environment_over_file(folder: Path) -> None:
    """Each source gives way to the one that is closer to the command."""
    (folder / "config.toml").write_text('url = "https://file.example"\norganization = "acme"\nproject = "chat"\n')
    environment = {"CODEXFLOW_URL": "https://env.example/", "CODEXFLOW_PROJECT": "search", "CODEXFLOW_ORGANIZATION": ""}
    found = load_settings(environment, folder)
    assert (found.url, found.organization, found.project) == ("https://env.example", "acme", "search")
    assert load_settings(environment, folder, url="https://option.example").url == "https://option.example"
    assert load_settings({}, folder).url == "https://file.example"


def _stack(url: object) -> None:
    Path(".codexflow").mkdir()
    Path(".codexflow/stack.json").write_text(json.dumps({"accounts_url": url}))


def test_the_stack_in_the_working_directory_comes_last(folder: Path) -> None:
    """`make up` needs no configuration, and configuration goes before it."""
    _stack("http://127.0.0.1:8001")
    assert load_settings({}, folder).url == "http://127.0.0.1:8001"
    assert load_settings({"CODEXFLOW_URL": "https://env.example"}, folder).url == "https://env.example"


@pytest.mark.parametrize("url", ["http://evil.example", "http://127.0.0.1.evil.example", 5, None])
def test_a_stack_file_cannot_send_a_token_elsewhere(folder: Path, url: object) -> None:
    """A file that lies in a directory somebody else has made names this machine, or is passed over."""
    _stack(url)
    assert load_settings({}, folder).url is None


@pytest.mark.parametrize(
    ("content", "named"),
    [("url = ", "config.toml"), ("urls = 'x'", "urls"), ("project = 5", "project"), ("[url]\nx = 1", "url")],
)
def test_a_wrong_file_is_said(folder: Path, content: str, named: str) -> None:
    """A mistake in config.toml is an error that names it, not a default that takes its place."""
    (folder / "config.toml").write_text(content)
    with pytest.raises(WrongUse, match=named):
        load_settings({}, folder)


def test_a_token_that_others_may_read_is_refused(folder: Path) -> None:
    """config.toml may hold a token if it is private."""
    file = folder / "config.toml"
    file.write_text('token = "cf-pat-x"')
    file.chmod(0o644)
    with pytest.raises(WrongUse, match="chmod 600"):
        load_settings({}, folder)
    file.chmod(0o600)
    assert load_settings({}, folder).token == "cf-pat-x"


@pytest.mark.parametrize("url", ["accounts.example", "ftp://accounts.example", "https://user:secret@accounts.example"])
def test_an_address_that_cannot_be_is_refused(folder: Path, url: str) -> None:
    """Also one with a password in it, which is not repeated."""
    with pytest.raises(WrongUse) as refused:
        load_settings({}, folder, url=url)
    assert "secret" not in str(refused.value)


def test_a_relative_configuration_home_is_passed_over(tmp_path: Path) -> None:
    """As the XDG specification wants."""
    assert configuration_folder({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "codexflow"
    assert configuration_folder({"XDG_CONFIG_HOME": "somewhere"}) == Path.home() / ".config/codexflow"
