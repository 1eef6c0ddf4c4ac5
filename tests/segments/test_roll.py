"""When a log begins a new segment, and what it leaves in the old one."""

import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from logserver_segments.config import NEVER_MS
from logserver_segments.errors import DiskFull, WriteFailed
from logserver_segments.segment import MAX_RELATIVE_OFFSET

from .support import NOW, SMALL, Box, DelayingCommitter, batch, read_all, run, values


def _bases(box: Box) -> list[int]:
    return [segment.base_offset for segment in box.log.segments]


def test_a_segment_is_full_when_the_payload_does_not_fit() -> None:
    payload = batch(b"x" * 32)
    box = Box(replace(SMALL, segment_bytes=3 * len(payload)))
    for number in range(1, 8):
        box.append(payload)
        assert _bases(box) == list(range(0, number, 3))
    assert [segment.size for segment in box.log.segments] == [3 * len(payload)] * 2 + [len(payload)]
    assert box.log.size_bytes == 7 * len(payload)


def test_a_payload_of_several_batches_stays_in_one_segment() -> None:
    payload = batch(b"x" * 32)
    box = Box(replace(SMALL, segment_bytes=3 * len(payload)))
    for _ in range(3):
        box.append(payload + payload)
    assert _bases(box) == [0, 2, 4]


def test_segment_ms_counts_from_the_first_record_by_the_records_own_times() -> None:
    box = Box(replace(SMALL, segment_ms=1000))
    for time in (0, 500, 1000, 1001, 2001, 2002, 100):
        box.append(batch(b"x", timestamp=NOW + time))
    assert _bases(box) == [0, 3, 5]


def test_jitter_rolls_logs_earlier_each_segment_by_a_time_of_its_own() -> None:
    config = replace(SMALL, segment_bytes=1 << 20, segment_ms=1000, segment_jitter_ms=600)
    box = Box(config)
    for time in range(0, 30_000, 10):
        if time == 15_000:
            box.reopen()
        box.append(batch(b"x", timestamp=NOW + time))
    lengths = [10 * (end - begin) for begin, end in pairwise(_bases(box))]
    assert len(set(lengths)) > 10
    assert all(400 <= length <= 1010 for length in lengths), lengths
    again = Box(config)
    for time in range(0, 30_000, 10):
        again.append(batch(b"x", timestamp=NOW + time))
    assert _bases(again) == _bases(box)


def test_segment_ms_counts_on_after_a_restart() -> None:
    box = Box(replace(SMALL, segment_ms=1000))
    box.append(batch(b"x", timestamp=NOW))
    for restart in (box.reopen, box.kill):
        restart()
        box.append(batch(b"x", timestamp=NOW + 900))
    assert _bases(box) == [0]
    box.reopen()
    box.append(batch(b"x", timestamp=NOW + 1001))
    assert _bases(box) == [0, 3]


@pytest.mark.parametrize("timestamp", [-1, NOW + 10**11])
def test_records_without_times_or_of_a_far_future_roll_by_the_servers_clock(timestamp: int) -> None:
    box = Box(replace(SMALL, segment_ms=1000, timestamp_after_max_ms=NEVER_MS))
    for pause_ms in (1000, 1, 500, 0):
        box.append(batch(b"x", timestamp=timestamp))
        box.clock.advance(pause_ms)
    assert _bases(box) == [0, 2]
    # What it was before a restart is not known; as in Kafka it counts from then on.
    box.reopen()
    box.append(batch(b"x", timestamp=timestamp))
    box.clock.advance(1001)
    box.append(batch(b"x", timestamp=timestamp))
    assert _bases(box) == [0, 2, 5]


def test_the_first_record_with_a_time_begins_the_count() -> None:
    box = Box(replace(SMALL, segment_ms=1000))
    for _ in range(3):
        box.append(batch(b"x", timestamp=-1))
    box.log.roll()
    # A first one that has a time begins the count; one without takes the server's clock.
    box.append(batch(b"x", timestamp=box.clock.now))
    box.clock.advance(1001)
    box.append(batch(b"x", timestamp=-1))
    assert _bases(box) == [0, 3, 4]


def test_a_full_index_rolls() -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 20, segment_index_bytes=36, index_interval_bytes=0))
    for number in range(20):
        box.append(batch(b"x", timestamp=NOW + number))
    # The first batch of a segment has no entry; the time index holds three entries of 12 bytes.
    assert _bases(box) == [0, 4, 8, 12, 16]
    box = Box(replace(SMALL, segment_bytes=1 << 20, segment_index_bytes=36, index_interval_bytes=0))
    for _ in range(20):
        box.append(batch(b"x"))
    # With all times the same there is one time entry; the offset index holds four of 8.
    assert _bases(box) == [0, 5, 10, 15]


def test_an_offset_that_an_index_entry_can_not_hold_rolls() -> None:
    box = Box()
    box.append(batch(b"x"))
    box.log._state.end = MAX_RELATIVE_OFFSET
    box.append(batch(b"x"))
    assert _bases(box) == [0]
    box.append(batch(b"x"))
    assert _bases(box) == [0, MAX_RELATIVE_OFFSET + 1]


def test_an_empty_segment_is_not_rolled() -> None:
    box = Box()
    box.log.roll()
    assert _bases(box) == [0]
    box.append(batch(b"x"))
    box.log.roll()
    box.log.roll()
    assert _bases(box) == [0, 1]
    box.log.check_invariant()


def test_index_files_are_in_kafkas_format() -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 20, index_interval_bytes=99))
    payload = batch(b"x" * 32)
    size = len(payload)
    assert size == 100
    for time in (5, 3, 9, 9):
        box.append(batch(b"x" * 32, timestamp=NOW + time))
    box.append(batch(b"x" * 31 + b"yy", b"z", timestamps=[NOW + 1, NOW + 20]))
    box.log.roll()
    index, time_index = (box.disk.inode(f"{box.log.directory}/{0:020d}.{kind}").data for kind in ("index", "timeindex"))
    # The last offset of the batch at the position.
    assert bytes(index) == struct.pack(">iiiiiiii", 1, size, 2, 2 * size, 3, 3 * size, 5, 4 * size)
    # A larger time than the entry before, and the last offset of its batch.
    assert bytes(time_index) == struct.pack(">qiqiqi", NOW + 5, 0, NOW + 9, 2, NOW + 20, 5)


def test_the_last_time_entry_names_the_largest_time() -> None:
    box = Box(replace(SMALL, index_interval_bytes=1 << 20))
    for time in (5, 30, 9):
        box.append(batch(b"x", timestamp=NOW + time))
    box.log.roll()
    time_index = box.disk.inode(f"{box.log.directory}/{0:020d}.timeindex").data
    assert bytes(time_index) == struct.pack(">qi", NOW + 30, 1)


def test_many_entries_are_written_in_blocks_and_found_in_file_and_memory() -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 22, index_interval_bytes=0))
    for number in range(2500):
        box.append(batch(b"%d" % number, timestamp=NOW + number))
    index = box.log.segments[0].index
    assert len(index) == 2499
    assert len(box.disk.inode(index.path).data) == 2048 * 8
    assert len(values(read_all(box.log, 10_000))) == 2500
    for number in (0, 1, 1024, 2047, 2048, 2049, 2050, 2499):
        found = run(box.log.offset_for_timestamp(NOW + number))
        assert found is not None and found.offset == number
    assert index.entries()[2048:2050] == [(2049, index.entries()[2048][1]), (2050, index.entries()[2049][1])]


@pytest.mark.parametrize("operation", ["create", "write", "write_file"])
def test_without_space_for_a_new_segment_the_old_one_stays_active(operation: str) -> None:
    box = Box()
    box.fill(5)
    # Index entries to be written, a snapshot, the file.
    fault = box.disk.fail(operation, "*", 28, times=None)
    with pytest.raises(DiskFull, match="no space left"):
        box.log.roll()
    box.disk.faults.remove(fault)
    assert _bases(box) == [0]
    box.log.check_invariant()
    assert box.log.offline is None
    box.fill(15, first=5)
    assert len(_bases(box)) > 1
    assert len(read_all(box.log)) == 20
    box.kill()
    assert len(read_all(box.log)) == 20


def test_a_disk_that_refuses_a_new_segment_leaves_the_old_one_active() -> None:
    box = Box()
    box.fill(5)
    box.disk.fail("create", "*.log", 24)
    with pytest.raises(WriteFailed, match="no new segment"):
        box.log.roll()
    box.log.roll()
    assert _bases(box) == [0, 5]
    assert box.log.offline is None


def test_what_was_appended_before_a_roll_becomes_durable_with_what_comes_after() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(30)
    assert len(_bases(box)) > 2
    box.committer.finish(0)
    assert box.log.committed_offset == 30
    for seed in range(20):
        box.crash(seed)
        assert len(read_all(box.log)) == 30


def test_a_relaxed_log_flushes_the_old_segment_when_it_rolls() -> None:
    box = Box(replace(SMALL, flush_messages=1000))
    box.fill(30)
    rolled_at = box.log.segments[-1].base_offset
    assert rolled_at > 0
    for seed in range(20):
        box.crash(seed)
        assert box.log.log_end_offset >= rolled_at
        box.fill(30 - box.log.log_end_offset, first=box.log.log_end_offset)
