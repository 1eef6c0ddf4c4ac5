"""Offsets inside transactions: which are in force, whatever the order of commits, ends and deletions."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.formats import OffsetCommitKey, OffsetCommitValue
from logserver.coordinator.offsets import CommittedOffsets
from logserver.coordinator.pending_offsets import PendingOffsets

KEYS = [OffsetCommitKey("g", "t", number) for number in range(2)] + [OffsetCommitKey("h", "t", 0)]


class Commit(NamedTuple):
    """A record; `producer` is None outside transactions, `offset` None for a tombstone."""

    key: OffsetCommitKey
    offset: int | None
    producer: int | None = None


class End(NamedTuple):
    producer: int
    is_commit: bool


EVENTS = st.lists(
    st.one_of(
        st.builds(Commit, st.sampled_from(KEYS), st.integers(0, 99) | st.none(), st.none()),
        st.builds(Commit, st.sampled_from(KEYS), st.integers(0, 99), st.integers(1, 3)),
        st.builds(End, st.integers(1, 3), st.booleans()),
    ),
    max_size=30,
)


def value(offset: int) -> OffsetCommitValue:
    return OffsetCommitValue(offset, -1, "", 0)


def specified(events: list[Commit | End]) -> tuple[dict[OffsetCommitKey, int], set[OffsetCommitKey]]:
    """Returns what is in force, and what may still come into force: of each key the last record in the log that is of
    no transaction or of a committed one."""
    in_force: dict[OffsetCommitKey, tuple[int, int | None]] = {}
    for at, event in enumerate(events):
        if isinstance(event, End):
            begun = max((n for n in range(at) if _ends(events[n], event.producer)), default=-1)
            if event.is_commit:
                for n in range(begun + 1, at):
                    one = events[n]
                    if isinstance(one, Commit) and one.producer == event.producer:
                        in_force[one.key] = max(in_force.get(one.key, (-1, None)), (n, one.offset))
        elif event.producer is None:
            in_force[event.key] = (at, event.offset)
    open_ = {
        one.key
        for n, one in enumerate(events)
        if isinstance(one, Commit)
        and one.producer is not None
        and not any(_ends(later, one.producer) for later in events[n:])
        and in_force.get(one.key, (-1, None))[0] < n
    }
    return {key: offset for key, (_, offset) in in_force.items() if offset is not None}, open_


def _ends(event: Commit | End, producer: int | None) -> bool:
    return isinstance(event, End) and event.producer == producer


@given(EVENTS)
def test_the_last_record_in_the_log_that_counts_is_in_force(events: list[Commit | End]) -> None:
    offsets, pending = CommittedOffsets(), PendingOffsets()
    for at, event in enumerate(events):
        if isinstance(event, End):
            for key, found in pending.end(event.producer, event.is_commit).items():
                offsets.apply(key, found)
        elif event.producer is None:
            offsets.apply(event.key, None if event.offset is None else value(event.offset))
            pending.overtaken(event.key)
        else:
            assert event.offset is not None
            pending.add(event.producer, event.key, value(event.offset), at)
    in_force, still_open = specified(events)
    shown = {
        key: found.offset
        for key in KEYS
        if (found := offsets.of(key.group).get((key.topic, key.partition))) is not None
    }
    assert shown == in_force
    assert {key for key in KEYS if pending.is_pending(key)} == still_open
    assert pending.groups() == {key.group for key in still_open}
    assert {key for group in ("g", "h") for key in pending.of(group)} == still_open
    assert (len(pending) == 0) == (not still_open)
