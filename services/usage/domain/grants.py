"""Budget arithmetic: what a boot may spend of a scope and period, decided for both units together.

A unit's obligations never pass its limit: everything spent, plus what open boots may still spend of their grants. A boot's
grant is cumulative, so a repeated or lost answer costs nothing, and it shrinks only when the boot itself has given back.
"""

from dataclasses import dataclass
from typing import Literal

Status = Literal["granted", "exhausted"]


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit (tokens or nano-USD) of a scope and period, as the books and the asking boot see it.

    Books: `limit` (None = none), `spent_total` over all boots, `held_elsewhere` = what other open boots may still spend,
    `granted` and `spent` of the asking boot. Ask: `settled` and `reserved` now, `believed` = the grant the boot works with (None = it
    knows of no limit); above that `need` of the first request that waits, `waiting` of all that wait, and `want`.
    """

    limit: int | None
    spent_total: int = 0
    held_elsewhere: int = 0
    granted: int | None = 0
    spent: int = 0
    settled: int = 0
    reserved: int = 0
    believed: int | None = 0
    need: int = 0
    want: int = 0
    waiting: int = 0

    @property
    def is_unlimited(self) -> bool:
        """Nobody works with a grant: there is no limit, and the boot knows."""
        return self.limit is None and self.believed is None

    @property
    def used_by_boot(self) -> int:
        """What the boot has spent or may spend already, whatever it was granted: the books or its own count, if higher."""
        return max(self.spent, self.settled + self.reserved)

    @property
    def has_forgotten(self) -> bool:
        """The boot has forgotten what it spent: counted from there, its grant would be worth more than it is. An ask that is only older
        than what has been booked meanwhile comes from a boot that works with a grant which covered that.
        """
        return self.limit is not None and max(self.settled + self.reserved, self.believed or 0) < self.spent

    @property
    def floor(self) -> int:
        """The least that the boot's grant can be without breaking what it was promised, by the books or by its own word: a limit that was
        away for a moment, or books that were restored, have not taken from it what it works with.
        """
        return max(self.granted or 0, self.believed or 0, self.used_by_boot)

    @property
    def target(self) -> int:
        """What the ask's `need` and `want` are counted from."""
        return self.settled + self.reserved if self.believed is None else self.believed

    def pool(self, floor: int) -> int:
        """What nobody has been promised, the boot's own grant being `floor`; negative when a limit has been lowered."""
        return (self.limit or 0) - self.spent_total - self.held_elsewhere - (floor - self.spent)


@dataclass(frozen=True, slots=True)
class Decision:
    """The grants to store after an ask, in the order of the units; None = neither the books nor the boot know of a limit."""

    status: Status
    granted: tuple[int | None, ...]


def decide(units: tuple[Unit, ...], *, active_gateways: int, returning: bool) -> Decision:
    """Raise the grants, or take back what is returned. When the need of any unit does not fit, none is raised."""
    if returning:
        return Decision("granted", tuple(map(_returned, units)))
    increments = [_increment(unit, active_gateways) for unit in units]
    fits = all(increment is not None for increment in increments)
    granted = tuple(
        None if unit.is_unlimited else unit.floor + ((increment or 0) if fits else 0)
        for unit, increment in zip(units, increments, strict=True)
    )
    return Decision("granted" if fits else "exhausted", granted)


def could_be_recalled(units: tuple[Unit, ...]) -> bool:
    """Whether every need would fit if the other boots returned all that they have not spent."""
    return all(
        unit.limit is None or max(0, unit.target + unit.need - unit.floor) <= max(0, unit.pool(unit.floor) + unit.held_elsewhere)
        for unit in units
    )


def held(unit: Unit, granted: int | None) -> int:
    """What open boots may still spend of the unit once this boot's grant is `granted`."""
    return unit.held_elsewhere + max(0, (granted or 0) - unit.spent)


def _returned(unit: Unit) -> int | None:
    if unit.is_unlimited:
        return None
    if unit.granted is None or unit.believed is None:
        return unit.floor
    return max(min(unit.granted, unit.believed), unit.used_by_boot)


def _increment(unit: Unit, active_gateways: int) -> int | None:
    """None = the need does not fit. Whoever waits gets what there is; what is asked for ahead of need shrinks with the pool."""
    if unit.limit is None:
        return 0
    floor, pool = unit.floor, unit.pool(unit.floor)
    need = max(0, unit.target + unit.need - floor)
    if need > max(0, pool):
        return None
    waiting = max(0, unit.target + unit.waiting - floor)
    want = max(0, unit.target + unit.want - floor)
    return max(need, min(waiting, max(0, pool)), min(want, max(0, pool) // (2 * max(1, active_gateways))))
