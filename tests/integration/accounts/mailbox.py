"""A real SMTP server that keeps what it was given."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from devstack.servers.ports import free_port


class Mailbox:
    """Mails in the order of their arrival."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[tuple[str, EmailMessage]] = []
        self.refusing = False

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - the name that aiosmtpd calls
        if self.refusing:
            return "451 try later"
        self.mails += [(to, message_from_bytes(envelope.content, policy=policy.default)) for to in envelope.rcpt_tos]
        return "250 OK"

    @property
    def env(self) -> dict[str, str]:
        """The environment of accounts that sends mail here."""
        return {"ACCOUNTS_SMTP_URL": f"smtp://127.0.0.1:{self.port}", "ACCOUNTS_MAIL_FROM": "CodexFlow <no-reply@example.com>"}

    def wait_for(self, to: str, count: int = 1, seconds: float = 20) -> list[EmailMessage]:
        """The mails to an address once there are that many."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [mail for address, mail in self.mails if address == to]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"{len(found)} mails to {to}")


@contextmanager
def open_mailbox() -> Iterator[Mailbox]:
    """Listens on a free port until the end of the block."""
    mailbox = Mailbox(free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, ready_timeout=20)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
