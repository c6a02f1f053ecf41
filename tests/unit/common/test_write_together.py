"""Writes of one turn of the loop leave together, in order, and not to transports that were closed."""

import asyncio
from typing import Any, cast

from common.write_together import together


class Wire:
    """Stands at the place of a socket's transport: remembers what it was given."""

    def __init__(self, log: list[tuple[str, bytes]], name: str) -> None:
        self.log, self.name, self.closing = log, name, False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.log.append((self.name, data))


def make_wire(log: list[tuple[str, bytes]], name: str) -> Any:
    return cast("asyncio.WriteTransport", Wire(log, name))


async def test_writes_leave_in_order_at_the_end_of_the_turn() -> None:
    """Nothing is written at once; after a turn everything is, per transport in the order given."""
    log: list[tuple[str, bytes]] = []
    writes, a, b = together(asyncio.get_running_loop()), make_wire(log, "a"), make_wire(log, "b")
    writes.write(a, b"1")
    writes.write(b, b"2")
    writes.write(a, b"3")
    assert log == []
    await asyncio.sleep(0)
    assert log == [("a", b"1"), ("b", b"2"), ("a", b"3")]


async def test_a_closed_transport_gets_nothing_and_holds_nobody_up() -> None:
    """Closing between asking and writing drops that write alone; flush writes without waiting for the turn's end."""
    log: list[tuple[str, bytes]] = []
    writes, a, b = together(asyncio.get_running_loop()), make_wire(log, "a"), make_wire(log, "b")
    writes.write(a, b"1")
    writes.write(b, b"2")
    a.closing = True
    writes.flush()
    assert log == [("b", b"2")]
    await asyncio.sleep(0)
    assert log == [("b", b"2")]
