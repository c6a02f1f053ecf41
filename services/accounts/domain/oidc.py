"""OpenID Connect on paper: which providers there are, what they say of a person, and where a sign-in may return to."""

import base64
import hashlib
import ipaddress
import re
from typing import Any, Literal
from urllib.parse import SplitResult, urlencode, urlsplit

import msgspec

from accounts.domain.identity_mapping import domain_of
from accounts.domain.slugs import SLUG_LENGTH, SLUG_PATTERN

SIGN_IN_PATH = "/api/v1/auth/oidc"
LONGEST_ADDRESS = 2000
LONGEST_SUBJECT = 255
LONGEST_NAME = 200
CHALLENGE_PATTERN = r"^[A-Za-z0-9_-]{43}$"
VERIFIER_PATTERN = r"^[A-Za-z0-9._~-]{43,128}$"


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An identity provider that this installation trusts."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    groups_claim: str | None = "groups"
    allow_unverified_email: bool = False

    @property
    def sign_in_path(self) -> str:
        """Where a browser begins."""
        return f"{SIGN_IN_PATH}/{self.name}/start"

    @property
    def callback_path(self) -> str:
        """Where the provider sends it back to."""
        return f"{SIGN_IN_PATH}/{self.name}/callback"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a provider vouches for. `subject` is unique within the issuer and for ever; `email` None = none that we can read."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str
    groups: frozenset[str]


Refusal = Literal["email_unverified", "domain_unmapped", "already_linked", "suspended"]
"""Why a person whom a provider vouches for is not let in."""


class UnusableClaims(ValueError):
    """The claims do not say who it is."""


def parse_providers(text: str) -> tuple[ProviderConfig, ...]:
    """The providers out of their setting; raises ValueError with a sentence."""
    try:
        providers = msgspec.json.decode(text, type=tuple[ProviderConfig, ...])
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise ValueError(f"give a JSON list of providers with name, issuer and client_id ({problem})") from None
    for provider in providers:
        _check(provider)
    for field in ("name", "issuer"):
        if len({getattr(provider, field) for provider in providers}) < len(providers):
            raise ValueError(f"two providers have the same {field}")
    return providers


def parse_secrets(text: str) -> dict[str, str]:
    """The clients' secrets by provider; raises ValueError with a sentence that repeats none of them."""
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeError):
        raise ValueError('give a JSON object of client secrets by provider, like {"company": "…"}') from None


def _check(provider: ProviderConfig) -> None:
    if len(provider.name) > SLUG_LENGTH or not re.fullmatch(SLUG_PATTERN, provider.name):
        raise ValueError("a provider's name is made of lower-case letters, digits and hyphens")
    if not is_trustworthy(provider.issuer) or urlsplit(provider.issuer).query:
        raise ValueError(f"the issuer of {provider.name} must be an https URL without query or fragment")
    if not provider.client_id:
        raise ValueError(f"{provider.name} needs a client_id")
    if "openid" not in provider.scopes or not all(re.fullmatch(r"[!#-\[\]-~]+", scope) for scope in provider.scopes):
        raise ValueError(f"the scopes of {provider.name} must be words, openid among them")


def is_trustworthy(url: str) -> bool:
    """Whether what is sent there stays between us and that host: https, or a server on this machine."""
    parts = _parts(url)
    if parts is None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def may_return_to(address: str, public_url: str) -> bool:
    """Whether a sign-in may lead there: this installation's own pages, or a program that listens on its user's machine
    (RFC 8252 §7.3: by IP address, not by name).
    """
    parts, own = _parts(address), _parts(public_url)
    if parts is None or own is None:
        return False
    if _origin(parts) == _origin(own):
        return True
    return parts.scheme == "http" and parts.hostname != "localhost" and _is_loopback(parts.hostname or "") and bool(parts.port)


def with_query(address: str, **parameters: str) -> str:
    """The address with parameters added to those that it has."""
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(parameters)}"


def challenge_of(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def person_of(claims: dict[str, Any], groups_claim: str | None) -> Person:
    """The person behind verified claims; raises UnusableClaims when there is no proper subject."""
    subject, email = claims.get("sub"), claims.get("email")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not _is_ascii_text(subject):
        raise UnusableClaims("no subject")
    return Person(
        issuer=claims["iss"],
        subject=subject,
        email=email if isinstance(email, str) and domain_of(email) else None,
        email_verified=_is_true(claims.get("email_verified")),
        name=_name(claims.get("name")),
        groups=_groups(claims.get(groups_claim) if groups_claim else None),
    )


def vouched_domain(person: Person, config: ProviderConfig) -> str | None:
    """The domain of the person's address, if the provider says that it is theirs or is trusted without saying so."""
    if person.email is None or not (person.email_verified or config.allow_unverified_email):
        return None
    return domain_of(person.email)


def _is_true(claim: object) -> bool:
    return claim is True or claim == "true"  # some providers write it as text


def _name(claim: object) -> str:
    return "".join(filter(str.isprintable, claim))[:LONGEST_NAME].strip() if isinstance(claim, str) else ""


def _groups(claim: object) -> frozenset[str]:
    names = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(name for name in names if isinstance(name, str))


def _is_ascii_text(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _parts(url: str) -> SplitResult | None:
    if len(url) > LONGEST_ADDRESS or not _is_ascii_text(url) or re.search(r"[\s\\#]", url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts if parts.hostname and "@" not in parts.netloc else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
