"""The tree of commands."""

from collections.abc import Iterator

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from codexflow_cli.app import app

PRINTING = frozenset({"list", "show", "create", "update", "suspend", "resume"})


def leaves(command: object, *words: str) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """All commands that do something, by what is typed."""
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from leaves(inner, *words, name)
    elif isinstance(command, TyperCommand):
        yield words, command


COMMANDS = dict(leaves(get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_says_what_it_does(words: tuple[str, ...]) -> None:
    """And each option what it is for."""
    command = COMMANDS[words]
    assert command.help
    undescribed = [
        option.name for option in command.params if option.param_type_name == "option" and not getattr(option, "help", "")
    ]
    assert undescribed == []


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[-1] in PRINTING], ids=" ".join)
def test_what_prints_an_object_prints_it_for_scripts_too(words: tuple[str, ...]) -> None:
    """By --json, everywhere called the same."""
    assert any("--json" in option.opts for option in COMMANDS[words].params)
