"""The environment as frozen, checked values; read by app.py and the command line alone."""

from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from accounts.domain.oidc import parse_providers, parse_secrets
from common.contracts.api_keys import Peppers

SEED_BYTES = 32


class WrongSettings(ValueError):
    """A setting is missing or unusable; the message is one sentence that names the variable and how to mend it."""


def _postgres_url(text: str, *, role: str = "accounts", password: str = "ACCOUNTS_DATABASE_PASSWORD") -> str:  # noqa: S107 - a name
    if not text.startswith("postgresql://") or "@" not in text:
        raise ValueError(f"write it as postgresql://{role}@HOST:PORT/DATABASE")
    if ":" in text.removeprefix("postgresql://").split("@")[0]:
        raise ValueError(f"give the password in {password}, not in the URL")
    return text


def _owner_url(text: str | None) -> str | None:
    return _postgres_url(text, role="accounts_owner", password="ACCOUNTS_OWNER_DATABASE_PASSWORD") if text else None  # noqa: S106


def _peppers(value: SecretStr) -> SecretStr:
    Peppers.parse(value.get_secret_value())
    return value


def _signing_key(value: SecretStr) -> SecretStr:
    try:
        length = len(bytes.fromhex(value.get_secret_value()))
    except ValueError:
        length = 0
    if length != SEED_BYTES:
        raise ValueError("give an Ed25519 seed as 64 hexadecimal digits (openssl rand -hex 32)")
    return value


def _networks(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("give CIDR blocks separated by commas, like 10.0.0.0/8,fd00::/8") from None


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("write it as https://HOST[:PORT][/PATH]")
    return text.rstrip("/")


def _smtp_url(text: str | None) -> str | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0 and not parts.path.strip("/")
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("write it as smtp://[USER@]HOST[:PORT] or smtps://…")
    if parts.password is not None:
        raise ValueError("give the password in ACCOUNTS_SMTP_PASSWORD, not in the URL")
    return text


def _sender(text: str | None) -> str | None:
    if not text:
        return None
    name, address = parseaddr(text)
    try:
        Address(name, addr_spec=address)
    except (ValueError, HeaderParseError):
        address = ""
    if "@" not in address:
        raise ValueError("give a mail address, like CodexFlow <no-reply@example.com>")
    return text


def _providers(text: str) -> str:
    parse_providers(text)
    return text


def _provider_secrets(value: SecretStr, info: ValidationInfo) -> SecretStr:
    secrets = parse_secrets(value.get_secret_value())
    names = {provider.name for provider in parse_providers(info.data.get("oidc_providers", "[]"))}
    if lacking := sorted(names - {name for name, secret in secrets.items() if secret}):
        raise ValueError(f"give the client secret of {lacking[0]}, which ACCOUNTS_OIDC_PROVIDERS names")
    if secrets.keys() - names:
        raise ValueError("there is a secret of a provider that ACCOUNTS_OIDC_PROVIDERS does not name")
    return value


class _Settings(BaseSettings):
    """What every command needs."""

    model_config = SettingsConfigDict(env_prefix="ACCOUNTS_", frozen=True, hide_input_in_errors=True)

    database_url: Annotated[str, AfterValidator(_postgres_url)] = "postgresql://accounts@127.0.0.1:5432/codexflow"
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    @classmethod
    def load(cls) -> Self:
        """From the environment; raises WrongSettings."""
        try:
            values: dict[str, Any] = {}
            return cls(**values)
        except ValidationError as problem:
            first = problem.errors()[0]
            name = f"ACCOUNTS_{'_'.join(str(part) for part in first['loc'])}: ".upper() if first["loc"] else ""
            reason = "set it" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
            raise WrongSettings(f"{name}{reason}") from None


class MigrationSettings(_Settings):
    """What the migration job needs: the role that owns the schema, besides the service's name for itself in `database_url`.

    Without an owner the service's own role does both, and then it must have its password.
    """

    database_password: SecretStr | None = None
    owner_database_url: Annotated[str | None, AfterValidator(_owner_url)] = None
    owner_database_password: SecretStr | None = None

    @model_validator(mode="after")
    def _has_a_password(self) -> Self:
        if self.owner_database_url and self.owner_database_password is None:
            raise ValueError("ACCOUNTS_OWNER_DATABASE_PASSWORD: set it, for ACCOUNTS_OWNER_DATABASE_URL is set")
        if not self.owner_database_url and self.database_password is None:
            raise ValueError("ACCOUNTS_DATABASE_PASSWORD: set it, or ACCOUNTS_OWNER_DATABASE_URL and its password")
        return self


class DatabaseSettings(_Settings):
    """What a command needs that asks nothing but the database."""

    database_password: SecretStr


class Settings(DatabaseSettings):
    """What the service needs."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8001
    nats_url: Annotated[str, Field(pattern="^(nats|tls)://[^@]+$")] = "nats://127.0.0.1:4222"
    nats_password: SecretStr
    key_peppers: Annotated[SecretStr, AfterValidator(_peppers)]
    signing_key: Annotated[SecretStr, AfterValidator(_signing_key)]
    access_token_seconds: Annotated[int, Field(ge=60, le=3600)] = 900
    bootstrap_token: SecretStr | None = None
    """Who has it may make the first user of an empty installation; unset = nobody may."""
    session_days: Annotated[int, Field(ge=1, le=365)] = 30
    """How long a sign-in lasts that is not refreshed."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)] = ()
    """Only a peer in one of these may say by X-Forwarded-For on whose behalf it asks."""
    public_url: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:8001"
    """What people reach us by; the links in mails begin with it."""
    smtp_url: Annotated[str | None, AfterValidator(_smtp_url)] = None
    smtp_password: SecretStr | None = None
    mail_from: Annotated[str | None, AfterValidator(_sender)] = None
    oidc_providers: Annotated[str, AfterValidator(_providers)] = "[]"
    """Identity providers that people may sign in by: a JSON list of domain/oidc.ProviderConfig."""
    oidc_secrets: Annotated[SecretStr, Field(validate_default=True), AfterValidator(_provider_secrets)] = SecretStr("{}")
    """Their client secrets: a JSON object by the provider's name."""
    reconcile_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    """How often the directory is compared with the database."""
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 600
    """Of one user, service account or anonymous address to one replica; 0 = no limit."""
    drain_seconds: Annotated[int, Field(ge=1, le=300)] = 10

    @model_validator(mode="after")
    def _mail_is_complete(self) -> Self:
        if self.smtp_url and not self.mail_from:
            raise ValueError("ACCOUNTS_MAIL_FROM: set it, for ACCOUNTS_SMTP_URL is set")
        if self.smtp_url and "@" in self.smtp_url and self.smtp_password is None:
            raise ValueError("ACCOUNTS_SMTP_PASSWORD: set it, for ACCOUNTS_SMTP_URL names a user")
        return self
