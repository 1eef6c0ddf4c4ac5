"""The key map and the throttle of compaction: memory and rates that are bounded."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_segments.compaction.config import CleanerConfig, IoLimit
from logserver_segments.compaction.key_map import NONE, SLOT_BYTES, KeyMap
from logserver_segments.compaction.throttle import Throttle

from .support import Box, FakeClock, keyed, read_all, run
from .test_cleaner import COMPACT


@given(
    st.integers(1, 60), st.sampled_from([0.01, 0.5, 0.9, 1.0]), st.lists(st.none() | st.binary(max_size=2), max_size=60)
)
def test_it_holds_the_last_offset_of_each_key_as_far_as_there_is_room(
    slots: int, load_factor: float, keys: list[bytes | None]
) -> None:
    found = KeyMap(slots * SLOT_BYTES, load_factor, 1000)
    expected: dict[bytes, int] = {}
    full = None
    for offset, key in enumerate(keys):
        if key is not None:
            if key not in expected and len(expected) == found.capacity:
                full = offset
                break
            expected[key] = offset
    assert found.put_all([(offset, key, False) for offset, key in enumerate(keys)]) == full
    assert found.size == len(expected)
    for key in {key for key in keys if key is not None} | {b"never"}:
        assert found.get(key) == expected.get(key, NONE)


def test_it_takes_no_more_memory_than_it_may_nor_than_it_needs() -> None:
    for memory_bytes in (SLOT_BYTES * 3, 1000, 100_000, 1 << 20):
        found = KeyMap(memory_bytes, 0.9, 1 << 40)
        assert memory_bytes * 0.75 <= found._table.nbytes <= memory_bytes
        assert 1 <= found.capacity <= memory_bytes // SLOT_BYTES * 0.9 or found.capacity == 2
    few = KeyMap(1 << 30, 0.9, 100)
    assert few.capacity >= 100 and few._table.nbytes < 4000


def test_a_map_that_is_nearly_full_finds_all() -> None:
    keys = [random.Random(number).randbytes(20) for number in range(5000)]
    found = KeyMap(5003 * SLOT_BYTES, 1.0, 1 << 40)
    assert found.put_all([(number, key, False) for number, key in enumerate(keys)]) is None
    assert [found.get(key) for key in keys] == list(range(5000))
    assert found.get(b"another") == NONE


def test_records_before_an_offset_do_not_count() -> None:
    found = KeyMap(1000, 0.9, 100)
    assert found.put_all([(4, b"a", False), (5, b"b", False), (6, b"a", True)], 5) is None
    assert (found.size, found.get(b"a"), found.get(b"b")) == (2, 6, 5)
    found = KeyMap(1000, 0.9, 100)
    assert found.put_all([(4, b"a", False), (5, b"b", False)], 5) is None
    assert found.get(b"a") == NONE


def test_a_log_of_more_keys_than_the_map_takes_is_compacted_in_turns() -> None:
    config = replace(COMPACT, min_cleanable_dirty_ratio=0.0)
    box = Box(config, cleaner_limits=CleanerConfig(dedupe_buffer_bytes=7 * SLOT_BYTES, dedupe_load_factor=0.7))
    for number in range(60):
        box.append(keyed((b"key %d" % (number % 20), b"%d" % number), (b"key %d" % (number % 7), b"%d" % number)))
    box.log.roll()
    done = run(box.clean())
    # As many offsets as it takes to see four keys.
    assert done is not None and 0 < done.cleaned_to < 10
    assert run(box.directory.compact()) > 5
    last = {record.key: record.value for record in read_all(box.log)}
    assert len(last) == len(read_all(box.log)) == 20
    assert last[b"key 19"] == b"59" and last[b"key 3"] == b"59"


def test_a_tombstone_that_the_map_does_not_reach_has_no_horizon_yet() -> None:
    box = Box(COMPACT, cleaner_limits=CleanerConfig(dedupe_buffer_bytes=3 * SLOT_BYTES, dedupe_load_factor=0.7))
    box.append(keyed((b"a", b"1")), keyed((b"b", b"1")), keyed((b"a", None), (b"c", b"1")))
    box.log.roll()
    done = run(box.clean())
    assert done is not None and done.cleaned_to == 3
    # What it deletes has gone, but only a batch as a whole has a horizon.
    assert [(record.offset, record.value) for record in read_all(box.log)] == [(1, b"1"), (2, None), (3, b"1")]
    late = box.clock.now + 10 * COMPACT.delete_retention_ms
    for time, left in ((late, [1, 2, 3]), (late, [1, 2, 3]), (late + COMPACT.delete_retention_ms, [1, 3])):
        run(box.clean(time, limits=CleanerConfig()))
        assert [record.offset for record in read_all(box.log)] == left


# The throttle


@pytest.mark.parametrize("size", [1000, 100_000])
def test_reading_and_writing_take_the_time_that_they_should(size: int) -> None:
    clock = FakeClock()
    throttle = Throttle(IoLimit(50_000, clock))
    for _ in range(10):
        throttle.count(size)
    assert clock.monotonic == pytest.approx(10 * size / 50)
    # Time in which there was nothing to do is not saved up.
    clock.advance(1_000_000)
    began = clock.monotonic
    throttle.count(size)
    assert clock.monotonic - began == pytest.approx(size / 50)
    assert throttle.bytes == 11 * size


def test_compaction_reads_and_writes_no_faster_than_it_may() -> None:
    clock = FakeClock()
    box = Box(COMPACT)
    for number in range(100):
        box.append(keyed((b"key %d" % (number % 50), b"." * 50)))
    box.log.roll()
    before = box.log.size_bytes
    run(box.clean(limits=CleanerConfig(io=IoLimit(10_000, clock))))
    # Once for the keys and once for the records, and what was written; segments that are as they were are not.
    assert 2 * before / 10 < clock.monotonic < (2 * before + box.log.size_bytes) / 10
