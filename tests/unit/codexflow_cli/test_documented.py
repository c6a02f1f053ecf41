"""The documents and the commands agree."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from codexflow_cli.app import app

ROOT = Path(__file__).parents[3]
DOCUMENTS = ("README.md", "docs/OPERATIONS.md")
BLOCK = re.compile(r"```(?:sh|text)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"(?:^|\| |\$ )(?:\.venv/bin/)?codexflow (.+)$")


def documented() -> Iterator[tuple[str, ...]]:
    """What is typed after `codexflow` in each example."""
    for name in DOCUMENTS:
        for block in BLOCK.findall((ROOT / name).read_text()):
            for line in block.splitlines():
                if found := COMMAND.search(line):
                    yield tuple(shlex.split(found[1], comments=True))


EXAMPLES = sorted(set(documented()))


def test_there_are_examples() -> None:
    """They are found where they are."""
    assert len(EXAMPLES) > 30


@pytest.mark.parametrize("words", EXAMPLES, ids=" ".join)
def test_each_example_can_be_typed(words: tuple[str, ...]) -> None:
    """Command, options and values are understood; nothing is run."""
    command, context, rest = get_command(app), None, list(words)
    while isinstance(command, TyperGroup):
        context = command.make_context("codexflow", rest, parent=context, allow_extra_args=True, allow_interspersed_args=False)
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    assert isinstance(command, TyperCommand)
    command.make_context("codexflow", rest, parent=context)
