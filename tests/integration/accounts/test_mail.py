"""Mail through a real SMTP server."""

import ssl
from email.headerregistry import Address

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from accounts.outbound.mail import Mail, MailServer, mail_server
from devstack.servers.ports import free_port
from tests.integration.accounts.mailbox import Mailbox, open_mailbox

SENDER = "CodexFlow <no-reply@example.com>"


async def test_a_mail_arrives_as_it_was_written():
    """Sender, subject, text and the headers that stop out-of-office answers."""
    with open_mailbox() as mailbox:
        mail = Mail(mail_server(f"smtp://127.0.0.1:{mailbox.port}", None, SENDER))
        assert mail.configured
        assert await mail.send("zoe@example.com", "Grüße", "Ein Text.\n")
        message = mailbox.wait_for("zoe@example.com")[0]
    assert (message["from"], message["to"], message["subject"]) == (SENDER, "zoe@example.com", "Grüße")
    assert message["auto-submitted"] == "auto-generated"
    assert message.get_content().splitlines() == ["Ein Text."]


async def test_without_a_server_nothing_is_sent_and_that_is_said():
    """The link is then shown instead."""
    mail = Mail(mail_server(None, None, SENDER))
    assert not mail.configured
    assert not await mail.send("a@example.com", "s", "t")


async def test_a_server_that_refuses_or_is_away_fails_no_request():
    """`send` answers False."""
    with open_mailbox() as mailbox:
        mail = Mail(mail_server(f"smtp://127.0.0.1:{mailbox.port}", None, SENDER))
        mailbox.refusing = True
        assert not await mail.send("a@example.com", "s", "t")
    assert not await mail.send("a@example.com", "s", "t"), "the server is gone"


@pytest.mark.parametrize(
    ("to", "subject"), [("a@example.com\nbcc: b@example.com", "s"), ("a@x.com, b@x.com", "s"), ("a@x.com", "s\nx: y")]
)
async def test_nobody_can_add_a_header_or_a_recipient(to: str, subject: str):
    """Whatever stands in a name or an address."""
    with open_mailbox() as mailbox:
        assert not await Mail(mail_server(f"smtp://127.0.0.1:{mailbox.port}", None, SENDER)).send(to, subject, "t")
        assert mailbox.mails == []


async def test_a_password_is_shown_to_nobody_without_encryption():
    """A server elsewhere that offers no STARTTLS gets neither password nor mail; on this machine it does."""
    mailbox, said = Mailbox(free_port()), []

    def check(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        said.append(data)
        return AuthResult(success=True)

    controller = Controller(
        mailbox, hostname="0.0.0.0", port=mailbox.port, authenticator=check, auth_require_tls=False, ready_timeout=20
    )
    controller.start()
    try:
        for host, sent in (("127.0.0.2", False), ("127.0.0.1", True)):
            mail = Mail(mail_server(f"smtp://user@{host}:{mailbox.port}", "hunter2", SENDER))
            assert await mail.send("a@example.com", "s", "t") == sent
            assert bool(said) == sent
    finally:
        controller.stop()


def test_the_url_says_where_and_how():
    """smtps = TLS from the first byte; the ports of old are the defaults."""
    plain, secure = mail_server("smtp://mail", None, SENDER), mail_server("smtps://u%40x@mail:1465", "p", SENDER)
    sender = Address("CodexFlow", addr_spec="no-reply@example.com")
    assert plain == MailServer(host="mail", port=25, tls=False, user=None, password=None, sender=sender)
    assert secure == MailServer(host="mail", port=1465, tls=True, user="u@x", password="p", sender=sender)
    assert "hunter2" not in repr(mail_server("smtp://mail", "hunter2", SENDER))


async def test_tls_is_verified(tmp_path):
    """A certificate that nobody vouches for is no mail server of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_self_signed(tmp_path))
    mailbox = Mailbox(free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, tls_context=context, ready_timeout=20)
    controller.start()
    try:
        assert not await Mail(mail_server(f"smtp://127.0.0.1:{mailbox.port}", None, SENDER)).send("a@example.com", "s", "t")
        assert mailbox.mails == []
    finally:
        controller.stop()


def _self_signed(folder) -> tuple[str, str]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None)
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(certificate), str(private)
