"""Mail over SMTP, where it is configured. Sent after the commit that it tells of; a mail that fails never fails a request."""

import asyncio
import logging
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from accounts.outbound.metrics import MAILS

SEND_SECONDS = 15.0
AT_A_TIME = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail is handed over. `tls` from the first byte, else STARTTLS: when offered, and without fail before a password is
    sent to another machine.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)
    sender: Address

    @property
    def must_upgrade(self) -> bool | None:
        """Whether STARTTLS is a condition; None = when offered."""
        if self.tls:
            return False
        return True if self.password is not None and self.host not in ("localhost", "127.0.0.1", "::1") else None


def mail_server(url: str | None, password: str | None, sender: str | None) -> MailServer | None:
    """From `smtp://[user@]host[:port]` or `smtps://…`, and `Name <address>`, all of them checked before."""
    if not url or not sender:
        return None
    parts, (name, address) = urlsplit(url), parseaddr(sender)
    tls = parts.scheme == "smtps"
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or (465 if tls else 25),
        tls=tls,
        user=unquote(parts.username) if parts.username else None,
        password=password,
        sender=Address(name, addr_spec=address),
    )


class Mail:
    """Sends one mail at a time to one person; without a server it sends nothing and says so."""

    def __init__(self, server: MailServer | None) -> None:
        self._server = server
        self._turn = asyncio.Semaphore(AT_A_TIME)

    @property
    def configured(self) -> bool:
        """Whether there is anybody to hand mail to."""
        return self._server is not None

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Whether the mail server has taken it; within 15 seconds, and never raises. The text may hold a secret: it is not logged."""
        if self._server is None:
            return False
        try:
            async with asyncio.timeout(SEND_SECONDS), self._turn:
                await self._hand_over(self._server, to, subject, text)
        except (aiosmtplib.SMTPException, OSError, ValueError, TimeoutError) as problem:
            MAILS.labels("failed").inc()
            log.warning("a mail could not be sent: %s", type(problem).__name__)
            return False
        MAILS.labels("sent").inc()
        return True

    @staticmethod
    async def _hand_over(server: MailServer, to: str, subject: str, text: str) -> None:
        await aiosmtplib.send(
            _message(server.sender, to, subject, text),
            sender=server.sender.addr_spec,
            recipients=[to],
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            local_hostname=server.sender.domain,
            use_tls=server.tls,
            start_tls=server.must_upgrade,
            timeout=SEND_SECONDS,
        )


def _message(sender: Address, to: str, subject: str, text: str) -> EmailMessage:
    """Raises ValueError for an address or a subject that would be more than one header."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(addr_spec=to)
    message["Subject"] = subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=sender.domain)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message
