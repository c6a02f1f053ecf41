"""An upstream address is checked once, when it is configured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.upstream.target import Target, compile_headers


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "http:///path",
        "host/path",
        "http://user:secret@host/",
        "http://host/#part",
        "http://host/a b",
        "http://host/\r\nx: y",
        "http://hüst/",
        "http://host:99999/",
        "http://host:0/",
        "http://two..dots/",
        f"http://{'a' * 64}.test/",
    ],
)
def test_refused_addresses(url):
    """An address that is ambiguous, holds a secret or could break the request line is refused."""
    with pytest.raises(ValueError, match=r"."):
        Target(url)


def test_request_head():
    """The head names path and query, host and port as given, and the length last."""
    target = Target("http://Host.example:8080?x=1", {"Authorization": "Bearer k"})
    assert target.request_head([(b"x-id", b"7")], 12) == (
        b"POST /?x=1 HTTP/1.1\r\nhost: host.example:8080\r\naccept-encoding: identity\r\n"
        b"Authorization: Bearer k\r\nx-id: 7\r\ncontent-length: 12\r\n\r\n"
    )


def test_default_ports_and_shared_origins():
    """Targets on the same host and port share an origin, whatever their paths; TLS is another origin."""
    assert Target("http://a/x").origin == Target("http://a:80/y").origin
    assert Target("https://a/x").origin == Target("https://a/y").origin
    assert Target("https://a/").origin[1] == 443
    assert Target("http://a:443/").origin != Target("https://a/").origin


def test_the_provider_key_is_not_shown():
    """Neither headers nor query appear when a target is printed."""
    shown = repr(Target("http://host/path?key=secret-q", {"authorization": "Bearer secret-h"}))
    assert "secret" not in shown
    assert "host/path" in shown


@pytest.mark.parametrize("name", [b"Host", b"content-length", b"Transfer-Encoding", b"connection", b"", b"a b", b"a:", b"a\r\n"])
def test_refused_header_names(name):
    """Names that frame the message, or are none, are refused."""
    with pytest.raises(ValueError, match="header name"):
        compile_headers([(name, b"x")])


@given(st.lists(st.tuples(st.from_regex(rb"x-[a-z]{1,8}", fullmatch=True), st.binary(max_size=40)), max_size=5))
def test_compiled_headers_hold_one_line_each(headers):
    """Whatever the values are, the lines are as many as the headers, or it is a ValueError."""
    try:
        lines = compile_headers(headers)
    except ValueError:
        return
    assert lines.count(b"\r") == lines.count(b"\n") == lines.count(b"\r\n") == len(headers)
    assert b"\0" not in lines
