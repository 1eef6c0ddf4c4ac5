"""Ranges that replace others in part, against a dict of offsets."""

from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.delivery.stored import StoredRange, StoredState
from logserver.coordinator.share_state.ranges import add, overlaid, pieces

_MOST = 40

Offsets = dict[int, tuple[StoredState, int]]
stories = st.tuples(st.sampled_from(StoredState), st.integers(0, 2))
offsets = st.dictionaries(st.integers(0, _MOST), stories)


def ranges_of(found: Offsets) -> list[StoredRange]:
    out: list[StoredRange] = []
    for offset, story in sorted(found.items()):
        add(out, StoredRange(offset, offset, *story))
    return out


@given(offsets, offsets, st.integers(0, _MOST + 1))
def test_newer_ranges_take_the_place_of_older_ones(older: Offsets, newer: Offsets, start: int) -> None:
    wanted = {offset: story for offset, story in {**older, **newer}.items() if offset >= start}
    assert overlaid(ranges_of(older), ranges_of(newer), start) == ranges_of(wanted)


@given(offsets, st.integers(0, _MOST), st.integers(0, _MOST))
def test_pieces_are_what_ranges_have_of_some_offsets(found: Offsets, first: int, records: int) -> None:
    last = first + records
    wanted = {offset: story for offset, story in found.items() if first <= offset <= last}
    assert list(pieces(ranges_of(found), first, last)) == ranges_of(wanted)
