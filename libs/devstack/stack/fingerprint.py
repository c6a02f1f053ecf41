"""What a preparing job depends on, as a digest: unchanged since it last succeeded, the job is not needed again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from devstack.servers.postgres import INIT_SQL
from devstack.stack.settings import CHECKOUT

SOURCES: dict[str, tuple[Path, ...]] = {
    "postgres": (INIT_SQL,),
    "accounts": (CHECKOUT / "services/accounts/migrations", CHECKOUT / "services/accounts/outbound/schema.py"),
    "usage": (CHECKOUT / "services/usage/migrations",),
    "bus": (CHECKOUT / "libs/common/bus", CHECKOUT / "libs/common/contracts/subjects.py"),
}


def of(job: str) -> str:
    """SHA-256 of the names and contents of the job's sources."""
    digest = hashlib.sha256()
    for path in _files(SOURCES[job]):
        digest.update(str(path.relative_to(CHECKOUT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(sources: Iterable[Path]) -> list[Path]:
    found = []
    for source in sources:
        inside = source.rglob("*") if source.is_dir() else [source]
        found += [path for path in inside if path.suffix in {".py", ".sql", ".ini"}]
    return sorted(found)
