"""One upstream address with its static headers, checked and compiled once."""

import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

RawHeaders = Sequence[tuple[bytes, bytes]]
Origin = tuple[str, int, ssl.SSLContext | None]

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE_IN_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_URL: Final = re.compile(r"[!-~]+")
# Framing, connection and coding are the client's own business: a second opinion in a header is request smuggling.
_RESERVED: Final = frozenset(
    (
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_METHODS: Final = frozenset(("GET", "POST", "DELETE", "PUT", "PATCH"))


_CHECKED: set[bytes] = set()


def _check_name(name: bytes) -> None:
    if _NAME.fullmatch(name) is None or name.lower() in _RESERVED:
        raise ValueError(f"the header name {name!r} cannot be sent")
    if len(_CHECKED) < 256:
        _CHECKED.add(name)


def compile_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header lines as sent; raises ValueError for anything that could end a line or change the framing."""
    lines = []
    for name, value in headers:
        if name not in _CHECKED:
            _check_name(name)
        if _UNSAFE_IN_VALUE.search(value) is not None:
            raise ValueError(f"the value of the header {name!r} holds a control character")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


@lru_cache(maxsize=64)
def trust(ca_file: str | None) -> ssl.SSLContext:
    """Verifies certificate and host name against the system's authorities, or against `ca_file` alone."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Target:
    """Where requests go: `http(s)://host[:port]/path`, with the headers every one of them carries.

    Raises ValueError for an address with user info, a fragment, or characters that need quoting. Targets with equal
    host, port and `ca_file` share connections.
    """

    __slots__ = ("_prefix", "headers", "method", "origin", "url")

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "POST", ca_file: str | None = None
    ) -> None:
        if _URL.fullmatch(url) is None:
            raise ValueError("an upstream address consists of visible ASCII characters")
        if method not in _METHODS:
            raise ValueError(f"the method {method!r} is not supported")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an upstream address starts with http://host or https://host")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError("an upstream address holds neither user info nor a fragment")
        parts.hostname.encode("idna")  # refuses labels that no resolver takes
        if parts.port == 0:
            raise ValueError("no upstream listens on port 0")
        tls = trust(ca_file) if parts.scheme == "https" else None
        self.url = url
        self.method = method
        self.headers = tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in (headers or {}).items())
        self.origin: Origin = (parts.hostname, parts.port or (443 if tls else 80), tls)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._prefix = b"%b %b HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n%b" % (
            method.encode(),
            path.encode(),
            (host if parts.port is None else f"{host}:{parts.port}").encode(),
            compile_headers(self.headers),
        )

    def __repr__(self) -> str:
        """Without headers: they hold the provider's key."""
        return f"Target({self.method} {self.url.partition('?')[0]})"

    def request_head(self, headers: RawHeaders, length: int) -> bytes:
        """The head of one request with a body of `length` bytes; raises ValueError for headers that cannot be sent."""
        return b"%b%bcontent-length: %d\r\n\r\n" % (self._prefix, compile_headers(headers), length)
