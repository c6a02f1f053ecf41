"""TLS: the right authority and the right name, or no connection."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scripted_upstream import CHUNKED, OK, PATIENT, always, once

from gateway.outbound.upstream.errors import FailureKind, UpstreamError

Signed = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate(name: str, signer: Signed | None, *names: x509.GeneralName) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer[1] if signer else key, hashes.SHA256()), key


def write(path: Path, signed: Signed) -> str:
    key = signed[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(signed[0].public_bytes(serialization.Encoding.PEM) + key)
    return str(path)


def server_side(certificate_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file)
    return context


@pytest.fixture(scope="module")
def authority() -> Signed:
    return certificate("Test Authority", None)


@pytest.fixture(scope="module")
def ca_file(authority: Signed, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("ca") / "ca.pem", authority)


@pytest.fixture(scope="module")
def good(authority: Signed, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = certificate("good", authority, x509.DNSName("localhost"), address)
    return server_side(write(tmp_path_factory.mktemp("good") / "server.pem", signed))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_verified(client, serve, good, ca_file, host):
    """A certificate for this name or address, signed by the named authority, is accepted, and the connection reused."""
    upstream = await serve(always(OK), tls=good)
    target = upstream.target(host=host, ca_file=ca_file)
    for _ in range(3):
        assert (await client.send(target, [], b"{}" * 100_000, PATIENT)).body == b"{}"
    assert upstream.connections == 1


async def test_stream_over_tls(client, serve, good, ca_file):
    """A stream over TLS is a stream."""
    upstream = await serve(once(CHUNKED, b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n", pause=0.02), tls=good)
    answer = await client.stream(upstream.target(ca_file=ca_file), [], b"{}", PATIENT)
    assert await answer.read() == b"ab"


async def test_large_answer_over_tls(client, serve, good, ca_file):
    """Back-pressure works through TLS too."""
    size = 8 * 1024 * 1024
    upstream = await serve(once(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, b"x" * size, hold=True), tls=good)
    answer = await client.stream(upstream.target(ca_file=ca_file), [], b"{}", PATIENT)
    assert await answer.read() == b"x" * size


async def test_unknown_authority(client, serve, good):
    """A certificate that the system's authorities did not sign is refused before anything is sent."""
    upstream = await serve(always(OK), tls=good)
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(), [], b"{}", PATIENT)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.TLS_FAILED, False)
    assert upstream.requests == []


async def test_wrong_host(client, serve, authority, ca_file, tmp_path):
    """A certificate for another name is refused."""
    other = server_side(write(tmp_path / "other.pem", certificate("other", authority, x509.DNSName("example.test"))))
    upstream = await serve(always(OK), tls=other)
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(host="localhost", ca_file=ca_file), [], b"{}", PATIENT)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.TLS_FAILED, False)
    assert upstream.requests == []


async def test_no_tls_on_the_other_side(client, serve, ca_file):
    """A server that does not speak TLS is refused."""

    async def script(wire):
        await wire.reader.read(100)
        await wire.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    upstream = await serve(script)
    upstream.scheme = "https"
    with pytest.raises(UpstreamError) as caught:
        await client.send(upstream.target(ca_file=ca_file), [], b"{}", PATIENT)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.TLS_FAILED, False)


async def test_cut_without_farewell(own_client, serve, good, ca_file):
    """A body that ends with its connection needs TLS's own farewell: anybody can cut a wire (own client)."""
    if not isinstance(asyncio.get_running_loop(), uvloop.Loop):
        pytest.skip("plain asyncio reports a cut below TLS like a proper end")

    async def script(wire):
        await wire.request()
        await wire.say(b"HTTP/1.1 200 OK\r\n\r\nhalf", pause=0.05)
        wire.writer.transport.abort()

    upstream = await serve(script, tls=good)
    with pytest.raises(UpstreamError) as caught:
        await own_client().send(upstream.target(ca_file=ca_file), [], b"{}", PATIENT)
    assert caught.value.kind == FailureKind.CUT
