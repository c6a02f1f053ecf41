"""The connection to PostgreSQL: a small pool with deadlines, and the URL without its password in any log."""

from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SCHEMA = "accounts"
POOL_SIZE = 10
STATEMENT_SECONDS = 10
CONNECT_SECONDS = 3


def database_url(url: str, password: str) -> URL:
    """The settings' URL for psycopg 3, with its password (URL hides it when printed)."""
    return make_url(url).set(drivername="postgresql+psycopg", password=password)


def connect_options(*, statement_seconds: int, more: str = "") -> dict[str, Any]:
    """The schema, deadlines and name of every connection of ours; a server that has vanished is noticed within ten seconds."""
    return {
        "options": f"-c search_path={SCHEMA} -c statement_timeout={statement_seconds}s -c lock_timeout=5s "
        f"-c idle_in_transaction_session_timeout=30s -c timezone=UTC {more}",
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "application_name": "codexflow-accounts",
    }


def open_engine(url: URL) -> AsyncEngine:
    """A pool that connects on first use, so that the service starts without its database (unready)."""
    return create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # what a statement was given stays out of logs
        connect_args=connect_options(statement_seconds=STATEMENT_SECONDS),
    )
