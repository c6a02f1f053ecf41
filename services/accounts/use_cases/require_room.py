"""Limits of a key lie below those of its project."""

from collections.abc import Collection

from accounts.domain.objects import Project
from accounts.domain.plans import above
from common.contracts.directory import Limits
from common.problems import Invalid


def require_room(project: Project, limits: Limits, given: Collection[str]) -> None:
    """Raises Invalid naming each of the given limits that is above what is in force for the project.

    A project's limit may fall below a key's later; then both hold, and so the lower one does.
    """
    wrong = [
        {"field": f"limits.{name}", "message": f"is above the project's, {getattr(project.limits, name)}"}
        for name in above(limits, project.limits)
        if name in given
    ]
    if wrong:
        raise Invalid("A key cannot have more than its project.", errors=wrong)
