"""Answers on stdout: tables and records for people, the API's own document for scripts. What is said besides goes to stderr."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from codexflow_cli.cells import cell, label
from codexflow_cli.client import Answer

UNBOUNDED = 100_000
"""Characters in a line when nobody looks at it: a row is one line then, for grep."""

EFFECTIVE = "effective"
FREE_FORM = ("tags", "limit_overrides", "before", "after")

Item = Mapping[str, Any]


def show_list(answer: Answer, columns: Sequence[str], *, as_json: bool) -> None:
    """A page of a list, with a hint when there is more."""
    if as_json:
        print_document(answer)
        return
    _print_items(answer.document["data"], columns)
    if cursor := answer.document.get("next_cursor"):
        say(f"There is more: --cursor {cursor}")


def show_record(answer: Answer, *, as_json: bool, hidden: Iterable[str] = ()) -> None:
    """One object, field by field, and where a change of it has been applied by now."""
    if as_json:
        print_document(answer)
        return
    shown = {name: value for name, value in answer.document.items() if name not in (EFFECTIVE, *hidden)}
    _print(_console(), _grid(_flat(shown)))
    if effective := answer.document.get(EFFECTIVE):
        say(_reach(effective))


def show_secret(answer: Answer, field: str, *, as_json: bool) -> None:
    """A new object whose secret is shown now and never again: alone on the last line, so that it can be copied whole."""
    show_record(answer, as_json=as_json, hidden=(field,))
    if not as_json:
        say("Shown once, keep it now:")
        print_line(str(answer.document[field]))


def print_document(answer: Answer) -> None:
    """Verbatim; nothing for an answer without a body."""
    if answer.text:
        print_line(answer.text)


def print_line(text: str) -> None:
    """A line for stdout."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """A sentence for the person, on stderr."""
    sys.stderr.write(text + "\n")


def _reach(effective: Item) -> str:
    if not effective["gateways"]:
        return "In effect: no gateway is running at present."
    rest = "; the others follow" if effective["pending"] else ""
    reached, milliseconds = effective["acknowledged"], effective["milliseconds"]
    return f"In effect on {reached} of {effective['gateways']} gateways after {milliseconds} ms{rest}."


def _print_items(items: Sequence[Item], columns: Sequence[str]) -> None:
    if not items:
        say("Nothing there.")
        return
    console = _console()
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        table.add_column(
            label(name.removeprefix("limits.")), no_wrap=True, justify="right" if _is_number(items, name) else "left"
        )
    flat = [_flat(item) for item in items]
    for item in flat:
        table.add_row(*(Text(cell(name, item.get(name))) for name in columns))
    if Measurement.get(console, console.options.update(max_width=UNBOUNDED), table).maximum > console.width:
        _print_cards(console, flat, columns)
    else:
        _print(console, table)


def _print_cards(console: Console, items: Sequence[Item], columns: Sequence[str]) -> None:
    """One block for each item, where a table would not fit: identifiers stay whole and can be copied."""
    for index, item in enumerate(items):
        if index:
            print_line("")
        _print(console, _grid({name: item.get(name) for name in columns}))


def _print(console: Console, shown: Table) -> None:
    """Without the blanks that would fill each line up to the width of its column."""
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        print_line(line.rstrip())


def _grid(fields: Item) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        grid.add_row(Text(label(name)), Text(cell(name, value)))
    return grid


def _flat(item: Item, prefix: str = "") -> dict[str, Any]:
    """Objects inside an object become fields with a dotted name, without those that are null; free-form ones stay one field."""
    found: dict[str, Any] = {}
    for name, value in item.items():
        if isinstance(value, dict) and value and name not in FREE_FORM:
            found.update({inner: each for inner, each in _flat(value, f"{prefix}{name}.").items() if each is not None})
        else:
            found[f"{prefix}{name}"] = value
    return found


def _is_number(items: Sequence[Item], name: str) -> bool:
    values = [value for item in items if (value := _flat(item).get(name)) is not None]
    return bool(values) and all(type(value) is int for value in values)


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False, width=None if sys.stdout.isatty() else UNBOUNDED)
