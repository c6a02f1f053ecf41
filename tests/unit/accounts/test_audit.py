"""The audit log's closed list of actions, and what it shows of objects."""

from pathlib import Path
from typing import get_args

import accounts
from accounts.domain.audit import Action, difference, shown

SOURCES = "".join(
    path.read_text()
    for path in Path(accounts.__path__[0]).rglob("*.py")
    if path.name != "audit.py" or path.parent.name != "domain"
)
STATUS_WORDS = ("updated", "suspended", "reinstated")


def test_every_action_is_written_somewhere():
    """A list with names that nothing writes would promise what is not recorded."""
    unwritten = []
    for action in get_args(Action):
        kind, _, word = action.partition(".")
        by_status = word in STATUS_WORDS and f'status_action("{kind}"' in SOURCES
        if f'"{action}"' not in SOURCES and not by_status:
            unwritten.append(action)
    assert unwritten == []


def test_a_difference_has_only_what_changed():
    """Neither what stayed nor what every change changes, and no secret."""
    before = {"name": "a", "status": "active", "version": 1, "digest": "x", "limits": {"daily_tokens": 1}}
    after = {"name": "b", "status": "active", "version": 2, "digest": "y", "limits": {"daily_tokens": 2}}
    assert difference(before, after) == (
        {"name": "a", "limits": {"daily_tokens": 1}},
        {"name": "b", "limits": {"daily_tokens": 2}},
    )


def test_secrets_are_not_shown():
    """Whatever is beside them."""
    assert shown({"name": "a", "password_hash": "x", "refresh_digest": "y", "secrets": [], "lookup": "z"}) == {"name": "a"}
