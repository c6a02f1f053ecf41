"""The gateway's settings: environment variables with the prefix GATEWAY_, read by app.py alone."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.client_address import parse_networks
from common.contracts.api_keys import Peppers
from common.contracts.grants import LONGEST_CONTACT_SECONDS


class Settings(BaseSettings):
    """Frozen and checked; a wrong value ends the start with a sentence."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8000
    nats_url: str = "nats://127.0.0.1:4222"
    nats_password: SecretStr
    key_peppers: SecretStr
    """VERSION:HEX[,VERSION:HEX], the same as for accounts."""
    view_secret: SecretStr
    """Hex, 32 bytes or more: signs the last-known-good directory on disk."""
    state_dir: Path = Path("state")
    """Local disk: the event spool and the last-known-good directory."""
    routes_file: Path = Path("routes.toml")
    cache_url: str = ""
    """redis://host:port/db of an evicting store; empty = no response cache."""
    cache_password: SecretStr = SecretStr("")
    trusted_proxies: str = ""
    """CIDR blocks with commas: a peer in one of them may say by X-Forwarded-For on whose behalf it asks."""
    ip_requests_per_minute: int = 0
    ip_tokens_per_minute: int = 0
    ip_concurrency: int = 0
    """Limits of every client address, over all gateways; 0 = none."""
    ip_failures_per_minute: int = 600
    """Refused keys from one address, in this process, until it is refused unseen; 0 = any number."""
    grant_wait_ms: int = 50
    """How long a request may wait for its limits, over all its waits together; and a stream for each further slice."""
    grant_contact_seconds: float = Field(default=LONGEST_CONTACT_SECONDS, gt=0, le=LONGEST_CONTACT_SECONDS)
    """Without an answer of the budget's authority for so long, nothing more is spent of what was granted in advance."""
    expected_gateways: int = 1
    """How many gateway processes share the limits, until usage has said it: what is let pass without usage is shared by as many."""
    tokenizer: bool = True
    """Count prompts by the tokenizer of the model's family, where that is known and the budget's mode asks for it."""
    max_body_bytes: int = 10 * 1024 * 1024
    body_seconds: float = 30.0
    slow_reader_seconds: float = 60.0
    max_in_flight: int = 4096
    drain_seconds: int = 30
    spool_max_bytes: int = 1024 * 1024 * 1024
    spool_segment_bytes: int = 8 * 1024 * 1024
    spool_stall_seconds: float = 60.0
    """So long nothing was heard of what was shipped: if the bus no longer holds it, it is shipped again."""
    upstream_connect_seconds: float = 5.0
    upstream_first_byte_seconds: float = 120.0
    upstream_idle_seconds: float = 60.0
    upstream_total_seconds: float = 600.0
    upstream_connections: int = 512
    upstream_client: str = "own"
    """own | aiohttp."""
    extra_attempts: int = 2
    backoff_ms: int = 500
    log_level: str = "INFO"

    @field_validator("key_peppers")
    @classmethod
    def _peppers(cls, value: SecretStr) -> SecretStr:
        Peppers.parse(value.get_secret_value())
        return value

    @field_validator("view_secret")
    @classmethod
    def _hex(cls, value: SecretStr) -> SecretStr:
        try:
            long_enough = len(bytes.fromhex(value.get_secret_value())) >= 32
        except ValueError:
            long_enough = False
        if not long_enough:
            raise ValueError("give 32 bytes or more as hexadecimal digits")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("upstream_client")
    @classmethod
    def _known_client(cls, value: str) -> str:
        if value not in ("own", "aiohttp"):
            raise ValueError("own or aiohttp")
        return value
