"""For which periods a changed limit is judged."""

from datetime import UTC, datetime

import pytest

from common.contracts.directory import ProjectRecord
from usage.use_cases.project_directory import present_scopes

FIRST_OF_DECEMBER = datetime(2026, 12, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zones", "day"),
    [
        ({"o": "Pacific/Honolulu"}, "2026-11-30"),
        ({"o": "Pacific/Kiritimati"}, "2026-12-01"),
        ({}, "2026-12-01"),
        ({"o": "Nowhere/City"}, "2026-12-01"),
        ({"o": "Europe"}, "2026-12-01"),
    ],
)
def test_the_day_and_the_month_are_those_of_the_organization(zones: dict[str, str], day: str) -> None:
    """Both may be others than UTC's; where the zone is not known, or is none, they are UTC's."""
    record = ProjectRecord(project_id="p", organization_id="o", version=1, status="active")
    assert present_scopes(record, zones, FIRST_OF_DECEMBER) == (("project", "p", day), ("project", "p", day[:7]))
