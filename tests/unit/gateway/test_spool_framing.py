"""Records as bytes, whole and damaged."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.outbound.event_spool.framing import END, START, Damage, Record, frame, frame_numbered, scan

payloads = st.lists(st.one_of(st.binary(max_size=200), st.text(max_size=80).map(str.encode)), max_size=12)


def framed(parts: list[bytes]) -> list[bytes]:
    """Alternating kinds of records with those payloads."""
    return [frame(START, part) if index % 2 else frame_numbered(END, index + 1, part) for index, part in enumerate(parts)]


@given(payloads, st.integers(0, 400))
def test_what_was_framed_is_found(parts: list[bytes], zeros: int) -> None:
    """Every record comes back, and the zeros of the rest of a segment are its end."""
    found = list(scan(b"".join(framed(parts)) + bytes(zeros)))
    assert [record.payload for record in found if isinstance(record, Record)] == parts
    assert len(found) == len(parts)


@given(payloads, st.data())
def test_a_torn_tail_costs_the_last_record_alone(parts: list[bytes], data: st.DataObject) -> None:
    """Cut anywhere, all records before the cut are found and the rest is a damaged tail."""
    records = framed([*parts, b"the last"])
    whole = b"".join(records)
    cut = data.draw(st.integers(len(whole) - len(records[-1]) + 1, len(whole) - 1))
    found = list(scan(whole[:cut] + bytes(500)))
    assert [item.payload for item in found if isinstance(item, Record)] == parts
    assert all(item.is_tail for item in found if isinstance(item, Damage))


@settings(deadline=None)
@given(payloads, payloads, st.data())
def test_a_flipped_byte_costs_one_record(before: list[bytes], after: list[bytes], data: st.DataObject) -> None:
    """Whichever byte of a record is damaged, its neighbours on both sides are still found."""
    middle = frame_numbered(END, 7, b'{"event_id":"0193"}')
    position = data.draw(st.integers(0, len(middle) - 1))
    flipped = bytearray(middle)
    flipped[position] ^= data.draw(st.integers(1, 255))
    found = [
        item.payload for item in scan(b"".join([*framed(before), bytes(flipped), *framed(after)])) if isinstance(item, Record)
    ]
    assert found == [*before, *after]


@given(st.text(max_size=300), st.integers(0, 2**62))
def test_a_text_cannot_imitate_a_record(text: str, number: int) -> None:
    """Whatever clients send, when the record around it is damaged nothing inside is taken for a record."""
    inner = frame_numbered(END, number, text.encode()).decode("utf-8", errors="ignore").encode()
    outer = bytearray(frame(START, inner))
    outer[4] ^= 0xFF
    assert not [item for item in scan(bytes(outer)) if isinstance(item, Record)]
