"""docs/DEPLOYMENT.md says what is so."""

import re

import pytest

from tests.checkout import ROOT, SERVICES, known_variables, variables_of_the_bus_job, variables_of_the_migration

PAGE = (ROOT / "docs/DEPLOYMENT.md").read_text()
ROWS = {
    row["name"]: row
    for row in (
        found.groupdict()
        for found in re.finditer(
            r"^\| (?P<bold>\*\*)?`(?P<name>(?:GATEWAY|ACCOUNTS|USAGE|BUS)_[A-Z_]+)`(?:\*\*)? \| (?:`(?P<value>[^`]+)`|empty)? ?\| ",
            PAGE[PAGE.index("## Settings") :],
            re.MULTILINE,
        )
    )
}


@pytest.mark.parametrize("service", SERVICES)
def test_settings_tables_are_complete(service: str) -> None:
    """Each table has exactly the variables that the service knows, the required ones in bold, the others with their default."""
    known = known_variables(service) | variables_of_the_migration(service)
    shown = {name: row for name, row in ROWS.items() if name.startswith(f"{service.upper()}_")}
    assert set(shown) == set(known)
    for name, default in known.items():
        assert bool(shown[name]["bold"]) is (default is None), name
        assert (shown[name]["value"] or "") == (default or ""), name


def test_the_bus_job_is_described() -> None:
    """All that the provisioning job reads is in its table."""
    assert variables_of_the_bus_job() <= set(ROWS)


def test_named_files_exist() -> None:
    """Every path of the repository that the page names is there."""
    for path in set(re.findall(r"\b(?:deploy|docs|requirements|libs)/[\w./-]+\w", PAGE)):
        assert (ROOT / path).exists(), path
