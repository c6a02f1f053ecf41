"""What the environment says (prefix USAGE_); read by app.py and the commands alone."""

from pydantic import Field, HttpUrl, PostgresDsn, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """Where the books are; all that the migration job needs."""

    model_config = SettingsConfigDict(env_prefix="USAGE_", frozen=True, extra="ignore")

    database_url: PostgresDsn = PostgresDsn("postgresql://usage@127.0.0.1:5432/codexflow")
    database_password: SecretStr
    log_level: str = "INFO"
    retention_days: int = Field(default=90, ge=1, le=3650)


class Settings(DatabaseSettings):
    """All that the service needs."""

    host: str = "127.0.0.1"
    port: int = Field(default=8002, ge=1, le=65535)
    nats_url: str = "nats://127.0.0.1:4222"
    nats_password: SecretStr
    jwks_url: HttpUrl = HttpUrl("http://127.0.0.1:8001/.well-known/jwks.json")
    drain_seconds: float = Field(default=30, gt=0)
