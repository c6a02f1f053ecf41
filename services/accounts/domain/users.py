"""People, and what their passwords must be."""

from datetime import datetime
from typing import Literal

import msgspec

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person. Without a password they sign in by an identity provider; operators run the installation."""

    id: str
    email: str
    name: str
    operator: bool
    status: Literal["active", "suspended"]
    has_password: bool
    version: int
    created_at: datetime
    updated_at: datetime


def password_problem(password: str, email: str) -> str | None:
    """Why this cannot be the password of the user with that email; None when it can."""
    if len(password) < SHORTEST_PASSWORD:
        return f"give at least {SHORTEST_PASSWORD} characters"
    if len(password) > LONGEST_PASSWORD:
        return f"give at most {LONGEST_PASSWORD} characters"
    if password.casefold() == email.casefold():
        return "must not be the email address"
    return None
