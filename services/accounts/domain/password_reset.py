"""Resetting a password by a link: once, and within the hour."""

from datetime import timedelta

LASTS = timedelta(hours=1)
MAILS_PER_HOUR = 3
"""To one user, so that nobody can fill a mailbox with them."""


def link_of(public_url: str, token: str) -> str:
    """The token goes in the fragment, which browsers send to no server."""
    return f"{public_url}/reset-password#token={token}"


def letter(link: str) -> tuple[str, str]:
    """Subject and text of the mail."""
    text = (
        "Somebody, probably you, wants to set a new password for your account at CodexFlow.\n\n"
        f"Set it by opening this link within an hour:\n\n{link}\n\n"
        "The link works once. If you did not expect it, do nothing: your password stays as it is.\n"
    )
    return "Set a new password", text
