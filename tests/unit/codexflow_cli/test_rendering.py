"""What people and scripts see of an answer."""

import json
import re

import pytest

from codexflow_cli import rendering
from codexflow_cli.cells import cell, label
from codexflow_cli.client import Answer

LIST = {
    "data": [
        {
            "id": "0193c7a2-0000-7000-8000-000000000001",
            "name": "[bold]one[/bold]",
            "limits": {"monthly_cost_nanousd": 500_000_000},
        },
        {"id": "0193c7a2-0000-7000-8000-000000000002", "name": "two", "limits": {"monthly_cost_nanousd": None}},
    ],
    "next_cursor": "0193c7a2-0000-7000-8000-000000000002",
}
COLUMNS = ("id", "name", "limits.monthly_cost_nanousd")


def answer(document: object) -> Answer:
    """As the API would have sent it."""
    return Answer(json.dumps(document), document)


def test_json_is_the_document_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Character by character, and nothing else."""
    text = '{"data": [ ],  "next_cursor":null}'
    rendering.show_list(Answer(text, json.loads(text)), COLUMNS, as_json=True)
    assert capsys.readouterr() == (text + "\n", "")


def test_a_table_has_a_line_for_each_item(capsys: pytest.CaptureFixture[str]) -> None:
    """Whole identifiers, money in USD, nothing of the data taken for markup; the cursor is not among the data."""
    rendering.show_list(answer(LIST), COLUMNS, as_json=False)
    out, err = capsys.readouterr()
    first = next(line for line in out.splitlines() if "[bold]one[/bold]" in line)
    assert "0193c7a2-0000-7000-8000-000000000001" in first
    assert first.rstrip().endswith("0.50")
    assert "monthly cost USD" in out.splitlines()[0]
    assert "--cursor 0193c7a2" in err
    assert all(line == line.rstrip() for line in out.splitlines())


@pytest.mark.parametrize("width", [30, 50])
def test_a_narrow_terminal_gets_blocks(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the terminal is wide, and nothing is cut off."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    rendering.show_list(answer(LIST), COLUMNS, as_json=False)
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= width
    assert "0193c7a2-0000-7000-8000-000000000001" in "".join(out.split())


def test_a_secret_stands_alone_on_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Once on stdout, not at all on stderr."""
    rendering.show_secret(answer({"id": "x", "key": "sk-cf-secret"}), "key", as_json=False)
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "sk-cf-secret"
    assert (out + err).count("sk-cf-secret") == 1


def test_effect_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """How many gateways know of a change, apart from the object."""
    effective = {"gateways": 3, "acknowledged": 2, "milliseconds": 12, "pending": True}
    rendering.show_record(answer({"id": "x", "effective": effective}), as_json=False)
    out, err = capsys.readouterr()
    assert "effective" not in out
    assert err == "In effect on 2 of 3 gateways after 12 ms; the others follow.\n"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("pending", False, "no"),
        ("models", ["a", "b"], "a, b"),
        ("models", None, "–"),
        ("tags", {"team": "search"}, "team=search"),
        ("expires_at", "2027-01-31T12:00:00+02:00", "2027-01-31 10:00:00Z"),
        ("name", "a\x1b[31mred", "a?[31mred"),
        ("monthly_tokens", 1000, "1000"),
    ],
)
def test_a_value_is_readable(name: str, value: object, shown: str) -> None:
    """Times in UTC, lists and tags on one line, and no escape sequence reaches the terminal."""
    assert cell(name, value) == shown


def test_money_is_called_what_it_is_shown_in() -> None:
    """The unit is in the label once the number is no longer nano-USD."""
    assert label("daily_cost_nanousd") == "daily cost USD"
