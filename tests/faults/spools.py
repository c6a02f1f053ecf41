"""What lies in the spool folders: read from the files, record by record."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.outbound.event_spool.framing import CLOSE, END, START, Damage, scan
from gateway.outbound.event_spool.records import IdentifiedEvent, Start


@dataclass(slots=True)
class SpooledBoot:
    """One boot's files: which requests have begun and not ended, which have ended, the highest number."""

    boot: str
    started: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    last: int = 0
    closed: bool = False
    damaged: int = 0

    @property
    def open(self) -> set[str]:
        """Begun and not ended."""
        return self.started - self.ended


def read_spools(root: Path) -> dict[str, SpooledBoot]:
    """All boots that are left, by boot; files that vanish meanwhile were committed."""
    found: dict[str, SpooledBoot] = {}
    for file in sorted(root.glob("s*/*/*.seg")):
        boot = found.setdefault(file.parent.name, SpooledBoot(file.parent.name))
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            continue
        _take(boot, data)
    return found


def quarantined(root: Path) -> list[str]:
    """Damaged places that recovery has set aside: there must be none but torn tails, which leave nothing here."""
    return sorted(path.name for path in root.glob("quarantine/*"))


def _take(boot: SpooledBoot, data: bytes) -> None:
    for record in scan(data):
        if isinstance(record, Damage):
            boot.damaged += 1
        elif record.kind == START:
            boot.started.add(msgspec.msgpack.decode(record.payload, type=Start).event_id)
        elif record.kind == END:
            boot.ended.add(msgspec.json.decode(record.payload, type=IdentifiedEvent).event_id)
            boot.last = max(boot.last, record.number)
        elif record.kind == CLOSE:
            boot.closed = True
