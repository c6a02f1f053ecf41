"""What comes out, whoever looks at it: a person at a narrow terminal, or a script."""

import re

import pytest

from tests.integration.cli.conftest import Installation

LISTS = (
    ("users", "list"),
    ("orgs", "list"),
    ("members", "list"),
    ("invitations", "list"),
    ("plans", "list"),
    ("projects", "list"),
    ("keys", "list", "--project", "shown"),
    ("notices", "list"),
    ("audit", "list"),
    ("audit", "list", "--installation"),
    ("domains", "list"),
    ("groups", "list"),
    ("sessions", "list"),
    ("tokens", "list"),
    ("service-accounts", "list"),
)


@pytest.fixture(scope="module")
def shown(installation: Installation) -> Installation:
    """With something to show."""
    installation.first.run("projects", "create", "Shown")
    installation.first.run("keys", "create", "a key with a rather long name", "--project", "shown")
    return installation


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_each_list_is_a_table_and_a_document(shown: Installation, words: tuple[str, ...]) -> None:
    """The same items for people, one a line, and for scripts; stderr is empty when there is nothing to say."""
    ran = shown.first.run(*words, "--json")
    assert ran.err == ""
    items = ran.document["data"]
    table = shown.first.run(*words).out
    assert len(table.splitlines()) == (len(items) + 2 if items else 0)  # under its head and a rule


def test_a_narrow_terminal_gets_blocks(shown: Installation) -> None:
    """No line is longer than the terminal is wide, and identifiers stay whole."""
    narrow = shown.terminal("narrow", COLUMNS="44", TERM="xterm").sign_in("grace@example.com")
    screen = narrow.type("keys", "list", "--project", "shown", answers=())
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen).splitlines()
    assert max(map(len, lines)) <= 44
    key = shown.first.json("keys", "list", "--project", "shown")["data"][0]
    assert key["id"] in "".join("".join(lines).split())


def test_a_refusal_says_nothing_on_stdout(shown: Installation) -> None:
    """With and without --json: a script never takes an error for a result."""
    for more in ((), ("--json",)):
        ran = shown.first.run("projects", "create", "", *more, code=1)
        assert ran.out == ""
        assert "name" in ran.err
