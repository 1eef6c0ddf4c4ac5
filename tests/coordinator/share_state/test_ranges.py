"""Ranges that replace others in part, against a dict of offsets."""

from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.delivery.stored import Extras, StoredRange, StoredState
from logserver.coordinator.share_state.extras_format import ExtrasRange
from logserver.coordinator.share_state.ranges import add, overlaid, with_extras

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


extras = st.dictionaries(st.integers(0, _MOST), st.integers(1, 3))


@given(offsets, extras)
def test_extras_are_of_what_is_not_settled(found: Offsets, numbers: dict[int, int]) -> None:
    wanted: list[StoredRange] = []
    for kept in ranges_of(found):
        for offset in range(kept.first, kept.last + 1):
            each = kept._replace(first=offset, last=offset)
            if offset in numbers and each.state is StoredState.AVAILABLE:
                each = each._replace(acquisitions=each.acquisitions + 1, extras=Extras(failures=numbers[offset]))
            add(wanted, each)
    given_extras = [
        ExtrasRange(offset, offset, 1, Extras(failures=number)) for offset, number in sorted(numbers.items())
    ]
    assert with_extras(ranges_of(found), given_extras) == wanted
