"""Giving space back: by age, by size, and before an offset."""

from dataclasses import replace

import pytest
from logserver_records.batch import split
from logserver_segments.config import NEVER_MS
from logserver_segments.errors import DiskFull, InvalidTimestamp, OffsetOutOfRange

from .support import NOW, SMALL, Box, DelayingCommitter, Fate, batch, read, read_all, run, values

FOREVER = replace(SMALL, retention_ms=-1)


def _bases(box: Box) -> list[int]:
    return [segment.base_offset for segment in box.log.segments]


def _segments(box: Box, count: int, step_ms: int = 1000) -> None:
    """Makes sealed segments of three records; the records' times rise by `step_ms` from segment to segment."""
    for number in range(count):
        for _ in range(3):
            box.append(batch(b"x" * 20, timestamp=NOW + number * step_ms))
        box.log.roll()


def test_segments_go_when_their_latest_record_is_too_old() -> None:
    box = Box(replace(SMALL, retention_ms=5000))
    _segments(box, 4)
    box.append(batch(b"new", timestamp=NOW + 9000))
    assert box.log.apply_retention(NOW + 5000) == 0
    assert box.log.apply_retention(NOW + 6001) == 2
    assert (box.log.log_start_offset, _bases(box)) == (6, [6, 9, 12])
    assert len(read_all(box.log)) == 7
    with pytest.raises(OffsetOutOfRange):
        read(box.log, 5)


def test_an_old_active_segment_goes_too_and_offsets_go_on() -> None:
    box = Box(replace(SMALL, retention_ms=5000))
    box.fill(4)
    assert box.log.apply_retention(NOW + 5001) == 1
    assert (box.log.log_start_offset, box.log.log_end_offset, _bases(box)) == (4, 4, [4])
    box.log.check_invariant()
    assert box.append(batch(b"x"))[0].base_offset == 4
    for restart in (box.reopen, box.kill, box.crash):
        restart()
        assert (box.log.log_start_offset, box.log.log_end_offset) == (4, 5)


def test_the_oldest_segments_go_until_the_size_fits() -> None:
    box = Box(FOREVER)
    _segments(box, 5)
    size = box.log.segments[0].size
    box.log.config = replace(FOREVER, retention_bytes=2 * size + 1)
    assert box.log.apply_retention(NOW) == 2
    assert box.log.size_bytes == 3 * size
    # At the limit one more goes; the active one never does.
    box.log.config = replace(FOREVER, retention_bytes=2 * size)
    assert box.log.apply_retention(NOW) == 1
    box.log.config = replace(FOREVER, retention_bytes=0)
    assert box.log.apply_retention(NOW) == 2
    assert _bases(box) == [15]


def test_without_limits_everything_stays() -> None:
    box = Box(FOREVER)
    _segments(box, 4)
    assert box.log.apply_retention(1 << 62) == 0


def test_a_compacted_log_does_not_forget_by_age_or_size() -> None:
    box = Box(replace(SMALL, retention_ms=1, retention_bytes=1, delete=False))
    _segments(box, 4)
    assert box.log.apply_retention(NOW + 10**9) == 0
    box.log.delete_records_before(7)
    assert box.log.apply_retention(NOW) == 2


UNKNOWN = pytest.mark.parametrize("timestamp", [-1, NOW + 10**15])
"""Of records without times, or of a far future, no age is known."""


def _rolled(box: Box, *timestamps: int) -> None:
    """A segment with one record for each of the timestamps, and an empty one."""
    for timestamp in timestamps:
        box.append(batch(b"x", timestamp=timestamp))
        box.log.roll()


@UNKNOWN
def test_records_of_unknown_age_stay_by_themselves(timestamp: int) -> None:
    box = Box(replace(SMALL, retention_ms=1, timestamp_after_max_ms=NEVER_MS))
    _rolled(box, timestamp, timestamp)
    assert box.log.apply_retention(NOW + 10**9) == 0


@UNKNOWN
def test_records_of_unknown_age_go_with_those_behind_them(timestamp: int) -> None:
    box = Box(replace(SMALL, retention_ms=5000, timestamp_after_max_ms=NEVER_MS))
    _rolled(box, NOW, timestamp, timestamp, NOW + 1000, timestamp, NOW + 3000)
    assert box.log.apply_retention(NOW + 5000) == 0
    assert box.log.apply_retention(NOW + 5001) == 1
    assert box.log.apply_retention(NOW + 6001) == 3
    assert box.log.log_start_offset == 4
    # Whoever writes on has the rest go, too.
    assert box.log.apply_retention(NOW + 8001) == 2
    box.log.check_invariant()
    assert box.reopen().log_start_offset == 6


@UNKNOWN
def test_an_active_segment_of_known_age_takes_those_of_unknown_age_with_it(timestamp: int) -> None:
    box = Box(replace(SMALL, retention_ms=5000, timestamp_after_max_ms=NEVER_MS))
    _rolled(box, timestamp)
    box.append(batch(b"x"))
    assert box.log.apply_retention(NOW + 5001) == 2
    assert (box.log.log_start_offset, box.log.log_end_offset) == (2, 2)


@UNKNOWN
def test_records_of_unknown_age_go_by_size_like_others(timestamp: int) -> None:
    box = Box(replace(FOREVER, timestamp_after_max_ms=NEVER_MS))
    _rolled(box, timestamp, timestamp, NOW, timestamp)
    size = box.log.segments[0].size
    box.log.config = replace(FOREVER, retention_bytes=2 * size)
    assert box.log.apply_retention(NOW) == 2 and box.log.size_bytes == 2 * size


def test_records_of_a_far_past_go_as_in_kafka_unless_they_are_refused() -> None:
    box = Box(replace(SMALL, retention_ms=5000))
    _rolled(box, NOW - 10**11)
    assert box.log.apply_retention(NOW) == 1
    box.log.config = replace(SMALL, retention_ms=5000, timestamp_before_max_ms=5000)
    with pytest.raises(InvalidTimestamp, match=r"message.timestamp.before.max.ms=5000"):
        box.append(batch(b"x", timestamp=NOW - 5001))
    box.append(batch(b"x", timestamp=NOW - 5000))
    assert box.log.apply_retention(NOW) == 0


def test_with_the_servers_times_records_age_from_when_they_are_appended() -> None:
    box = Box(replace(SMALL, retention_ms=5000, log_append_time=True))
    _rolled(box, NOW - 10**11, NOW + 10**11)
    assert box.log.apply_retention(NOW + 5000) == 0
    assert box.log.apply_retention(NOW + 5001) == 2


def test_a_segment_with_a_damaged_time_index_still_ages() -> None:
    box = Box(replace(SMALL, retention_ms=5000))
    _segments(box, 4)
    paths = [segment.time_index.path for segment in box.log.segments[:-1]]
    box.directory.close()
    for path in paths:
        box.disk.remove(path)
    box.open()
    assert box.log.apply_retention(NOW + 6001) == 2


def test_what_is_not_committed_stays() -> None:
    box = Box(replace(SMALL, retention_ms=5000), committer=DelayingCommitter)
    _segments(box, 2)
    assert box.log.apply_retention(NOW + 10**9) == 0
    box.committer.finish(0)
    assert box.log.apply_retention(NOW + 10**9) == 2


def test_on_a_full_disk_all_but_the_active_segment_go() -> None:
    box = Box(replace(SMALL, retention_ms=5000))
    _segments(box, 3)
    box.append(batch(b"x"))
    fault = box.disk.fail("create", "*.log", 28, times=None)
    assert box.log.apply_retention(NOW + 10**9) == 3
    with pytest.raises(DiskFull):
        box.log.apply_retention(NOW + 10**9)
    box.disk.faults.remove(fault)
    assert box.log.apply_retention(NOW + 10**9) == 1
    assert box.log.log_start_offset == 10


# Delete records


def test_records_before_an_offset_can_not_be_read_any_more() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    box.log.delete_records_before(4)
    assert (box.log.log_start_offset, _bases(box)) == (4, [0, 3, 6, 9])
    assert [record.offset for record in read_all(box.log)] == [4, 5, 6, 7, 8]
    box.log.apply_retention(NOW)
    assert (box.log.log_start_offset, _bases(box)) == (4, [3, 6, 9])
    box.log.delete_records_before(2)
    assert box.log.log_start_offset == 4


@pytest.mark.parametrize("offset", [-1, 10, 1 << 62])
def test_an_offset_that_is_not_there_is_refused(offset: int) -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    with pytest.raises(OffsetOutOfRange, match=f"before offset {offset}"):
        box.log.delete_records_before(offset)


def test_what_is_not_committed_can_not_be_deleted() -> None:
    box = Box(FOREVER, committer=DelayingCommitter)
    box.fill(3)
    with pytest.raises(OffsetOutOfRange):
        box.log.delete_records_before(1)


def test_everything_can_be_deleted() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    box.append(batch(b"x"))
    box.log.delete_records_before(10)
    box.log.apply_retention(NOW)
    assert (box.log.log_start_offset, _bases(box), read_all(box.log)) == (10, [9], [])
    box.reopen()
    assert (box.log.log_start_offset, box.log.log_end_offset) == (10, 10)


def test_deleted_records_stay_deleted_over_a_stop() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    box.log.delete_records_before(4)
    box.reopen()
    assert box.log.log_start_offset == 4
    box.log.apply_retention(NOW)
    box.reopen()
    assert (box.log.log_start_offset, _bases(box)) == (4, [3, 6, 9])


def test_once_persisted_deleted_records_stay_deleted_over_crashes() -> None:
    for names in (True, False):
        box = Box(FOREVER)
        _segments(box, 3)
        run(box.directory.checkpoint())
        box.log.delete_records_before(4)
        run(box.directory.persist_start_offsets())
        box.crash(fate=Fate(names=names, content=False))
        assert box.log.log_start_offset == 4
        # Also when the segments' deletion does not survive, and nothing but this says that the log begins behind them.
        box.log.delete_records_before(6)
        run(box.directory.persist_start_offsets())
        box.log.apply_retention(NOW)
        box.log.remove_doomed(NOW)
        run(box.directory.persist_start_offsets())
        run(box.directory.checkpoint())
        box.crash(fate=Fate(names=names, content=False))
        assert box.log.log_start_offset == 6
        assert [record.offset for record in read_all(box.log)] == [6, 7, 8]


def test_a_log_that_is_closed_for_a_while_keeps_its_start() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    box.log.delete_records_before(4)
    box.directory.close_log("topic", 0)
    run(box.directory.persist_start_offsets())
    run(box.directory.checkpoint())
    box.crash()
    assert box.log.log_start_offset == 4


# Files


def test_deleted_files_wait_for_file_delete_delay_ms() -> None:
    box = Box(replace(FOREVER, file_delete_delay_ms=60_000))
    _segments(box, 3)
    box.log.delete_records_before(6)
    box.log.apply_retention(NOW)
    doomed = [name for name in box.names if name.endswith(".deleted")]
    assert doomed == [f"{base:020d}.{kind}.deleted" for base in (0, 3) for kind in ("index", "log", "timeindex")]
    box.log.remove_doomed(NOW + 59_999)
    assert len([name for name in box.names if name.endswith(".deleted")]) == 6
    box.log.remove_doomed(NOW + 60_000)
    assert [name for name in box.names if name.endswith((".log", ".deleted"))] == [
        f"{base:020d}.log" for base in (6, 9)
    ]


def test_deleted_files_that_still_wait_go_at_the_next_start() -> None:
    box = Box(replace(FOREVER, file_delete_delay_ms=60_000))
    _segments(box, 3)
    box.log.delete_records_before(6)
    box.log.apply_retention(NOW)
    box.kill()
    assert not [name for name in box.names if name.endswith(".deleted")]
    assert [record.offset for record in read_all(box.log)] == [6, 7, 8]


def test_readers_keep_the_slices_of_a_deleted_segment() -> None:
    box = Box(FOREVER, mapped_files=1)
    _segments(box, 3)
    found = read(box.log, 0, 1000)
    expected = bytes(found.data)
    box.log.delete_records_before(6)
    box.log.apply_retention(NOW)
    box.log.remove_doomed(NOW)
    box.fill(30)
    read_all(box.log)
    assert bytes(found.data) == expected


def test_producer_snapshots_go_with_their_segments() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    assert [name for name in box.names if name.endswith(".snapshot")] == [f"{base:020d}.snapshot" for base in (3, 6, 9)]
    box.log.delete_records_before(9)
    box.log.apply_retention(NOW)
    assert [name for name in box.names if name.endswith(".snapshot")] == [f"{9:020d}.snapshot"]


# Truncation


def test_truncation_drops_everything_from_an_offset_on() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    box.append(batch(b"last"))
    for offset, left in ((10, 10), (9, 9), (7, 7), (6, 6), (2, 2), (0, 0)):
        box.log.truncate(offset)
        assert box.log.log_end_offset == left
        assert len(read_all(box.log)) == left
        box.log.check_invariant()
    assert box.names.count(f"{3:020d}.log") == 0
    box.fill(5)
    assert len(read_all(box.log)) == 5


def test_truncation_inside_a_batch_drops_the_whole_batch() -> None:
    box = Box()
    box.append(batch(b"a", b"b"), batch(b"c", b"d", b"e"), batch(b"f"))
    box.log.truncate(3)
    assert (box.log.log_end_offset, values(read_all(box.log))) == (2, [b"a", b"b"])


def test_truncated_records_do_not_come_back() -> None:
    for seed in range(30):
        box = Box(FOREVER, committer=DelayingCommitter)
        _segments(box, 3)
        box.committer.finish(0)
        box.log.truncate(4)
        box.append(batch(b"new"))
        box.crash(seed)
        assert box.log.log_end_offset in (4, 5)
        assert values(read_all(box.log))[4:] in ([], [b"new"])


def test_truncation_leaves_live_slices_of_a_sealed_segment_whole() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    found = read(box.log, 3, 1000)
    expected = bytes(found.data)
    assert isinstance(found.data, memoryview)
    box.log.truncate(4)
    box.fill(3)
    assert bytes(found.data) == expected
    # The file is another one now, which may be cut in place.
    second = read(box.log, 3, 1000)
    box.log.truncate(3)
    assert bytes(found.data) == expected and len(second.data) > 0


def test_a_segment_that_becomes_active_as_it_is_may_be_cut_under_live_slices() -> None:
    box = Box(FOREVER)
    _segments(box, 2)
    found = read(box.log, 3, 1000)
    expected = bytes(found.data)
    box.append(batch(b"x"))
    box.log.truncate(6)
    box.log.truncate(4)
    box.fill(3)
    assert bytes(found.data) == expected


def test_a_truncation_into_a_gap_between_segments_leaves_live_slices_whole() -> None:
    # As another program's compaction leaves one.
    box = Box(FOREVER)
    _segments(box, 2)
    path = box.log.segments[0].path
    box.directory.close()
    content = bytes(box.disk.inode(path).data)
    (_, last) = list(split(content))[-1]
    box.disk.damage(path, content[: -last.size])
    box.open()
    found = read(box.log, 0, 1000)
    expected = bytes(found.data)
    assert (found.next_offset, read(box.log, 2).next_offset) == (2, 4)
    box.log.truncate(2)
    assert box.log.log_end_offset == 2
    box.log.check_invariant()
    box.fill(2)
    box.log.truncate(1)
    box.fill(5)
    assert bytes(found.data) == expected
    assert len(read_all(box.log)) == 6


def test_what_was_not_durable_before_a_truncation_still_becomes_so() -> None:
    box = Box(FOREVER, committer=DelayingCommitter)
    _segments(box, 3)
    box.log.truncate(8)
    assert box.log.committed_offset == 0
    box.committer.finish(0)
    assert box.log.committed_offset == 8
    for seed in range(10):
        box.crash(seed)
        assert len(read_all(box.log)) == 8


def test_a_truncation_below_the_log_start_lowers_it_for_good() -> None:
    box = Box(FOREVER)
    _segments(box, 3)
    box.log.delete_records_before(8)
    run(box.directory.persist_start_offsets())
    box.log.truncate(4)
    assert (box.log.log_start_offset, box.log.log_end_offset) == (4, 4)
    box.fill(2)
    for seed in range(10):
        box.crash(seed)
        assert box.log.log_end_offset == 6
