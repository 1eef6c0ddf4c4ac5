"""Compaction by key: what stays, what goes, and what a crash or a full disk in the middle leaves."""

import asyncio
import contextlib
import errno
import os
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from logserver_records.batch import BatchHeader, split
from logserver_records.codec import build_batch, decode_batch
from logserver_records.compression import Compression
from logserver_records.control import ControlType, EndTransactionMarker, build_marker
from logserver_segments.compaction.cleaner import Cleaned
from logserver_segments.compaction.eligible import cleanable, is_due
from logserver_segments.errors import CorruptRecords, DuplicateSequence
from logserver_segments.verification.directory import About, examine

from .conftest import Lines
from .fake_disk import PowerCut
from .support import (
    MAX_BYTES,
    NOW,
    SMALL,
    TOPIC_ID,
    Box,
    DelayingCommitter,
    HeldWorkers,
    batch,
    keyed,
    read,
    read_all,
    run,
)

COMPACT = replace(SMALL, compact=True, delete=False, segment_bytes=400, delete_retention_ms=1000)


def _clean(box: Box, now: int | None = None) -> Cleaned | None:
    found = run(box.clean(now))
    box.log.check_invariant()
    return found


def _left(box: Box) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(record.offset, record.key, record.value) for record in read_all(box.log)]


def _headers(box: Box) -> list[BatchHeader]:
    return [header for segment in box.log.segments for _, header in split(box.disk.inode(segment.path).data)]


def _keys(box: Box, keys: Sequence[bytes], **options: int) -> None:
    for number, key in enumerate(keys):
        box.append(keyed((key, b"%d" % number), **options))


def test_what_was_compacted_holds_neither_files_nor_mappings() -> None:
    box = Box(COMPACT)
    _keys(box, [b"a", b"b"] * 15)
    read_all(box.log)
    _clean(box)
    read_all(box.log)
    # A file each of the segments there are now, not of those that were: their space would not be given back.
    segments = len(box.log.segments)
    assert segments > 3
    assert len(box.directory.resources.files) == box.disk.open_files == segments
    # The active segment has no mapping; others have up to three, with their indexes.
    assert len(box.directory.resources.maps) <= 3 * (segments - 1)


def test_a_topic_made_anew_is_compacted_from_its_own_beginning() -> None:
    box = Box(replace(COMPACT, min_cleanable_dirty_ratio=0.5))
    _keys(box, [b"a", b"b"] * 20)
    run(box.directory.compact())
    assert len(_left(box)) < 20
    run(box.directory.delete("topic", 0))
    box.open_log()
    # It ends before the offset up to which the one before was compacted.
    _keys(box, [b"a", b"b"] * 10)
    run(box.directory.compact())
    assert len(_left(box)) < 10
    run(box.directory.delete("topic", 0))
    box.open_log()
    # And behind it.
    _keys(box, [b"x"] * 10 + [b"key %d" % number for number in range(40)])
    run(box.directory.compact())
    assert [key for _, key, _ in _left(box)].count(b"x") == 1


def test_a_log_that_was_cut_is_compacted_from_there_on_also_after_a_restart() -> None:
    for restart in (False, True):
        box = Box(COMPACT)
        _keys(box, [b"a", b"b"] * 20)
        run(box.directory.compact())
        box.log.truncate(10)
        if restart:
            box.kill()
        # Where others were that had been compacted.
        _keys(box, [b"x"] * 20 + [b"key %d" % number for number in range(40)])
        run(box.directory.compact())
        assert [key for _, key, _ in _left(box)].count(b"x") == 1


def test_up_to_where_a_log_is_compacted_outlives_a_restart() -> None:
    box = Box(COMPACT)
    _keys(box, [b"a", b"b"] * 20)
    assert run(box.directory.compact()) == 1
    for restart in (box.reopen, box.kill, box.crash):
        restart()
        assert run(box.directory.compact()) == 0


def test_the_last_value_of_each_key_stays_at_its_offset() -> None:
    box = Box(COMPACT)
    _keys(box, [b"a", b"b", b"a", b"c", b"a", b"b"] * 3)
    box.log.roll()
    result = _clean(box)
    assert result is not None
    assert (result.kept, result.dropped) == (3, 15)
    assert _left(box) == [(15, b"c", b"15"), (16, b"a", b"16"), (17, b"b", b"17")]
    assert (box.log.log_start_offset, box.log.log_end_offset) == (0, 18)
    assert result.bytes_after < result.bytes_before
    assert box.log.size_bytes == result.bytes_after


def test_the_active_segment_stays_as_it_is_and_supersedes_nothing_yet() -> None:
    box = Box(COMPACT)
    _keys(box, [b"a", b"a"])
    box.log.roll()
    _keys(box, [b"a", b"a"])
    _clean(box)
    assert [offset for offset, _, _ in _left(box)] == [1, 2, 3]


def test_what_is_not_committed_is_not_looked_at() -> None:
    box = Box(COMPACT, committer=DelayingCommitter)
    _keys(box, [b"a"] * 3)
    box.log.roll()
    box.committer.finish(0)
    _keys(box, [b"a"] * 20)
    assert len(box.log.segments) > 2
    _clean(box)
    assert [offset for offset, _, _ in _left(box)] == [2]
    box.committer.finish(0)
    assert [offset for offset, _, _ in _left(box)] == list(range(2, 23))


def test_inside_a_batch_only_what_is_needed_stays() -> None:
    box = Box(COMPACT)
    box.append(keyed((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1")))
    box.append(keyed((b"b", b"2")))
    box.log.roll()
    _clean(box)
    assert _left(box) == [(2, b"a", b"2"), (3, b"c", b"1"), (4, b"b", b"2")]
    (_, first), (_, second) = split(read(box.log, 0, 1000).data)
    assert (first.base_offset, first.last_offset, first.record_count) == (0, 3, 2)
    assert (second.base_offset, second.last_offset) == (4, 4)
    assert read(box.log, 1).next_offset == 4


@pytest.mark.parametrize("compression", list(Compression))
def test_compressed_batches_keep_their_times_headers_and_compression(compression: Compression) -> None:
    box = Box(COMPACT)
    records = [
        (NOW + 5, b"a", b"x" * 50, (("h", b"1"), ("n", None))),
        (NOW + 3, b"b", b"y" * 50, ()),
        (NOW + 9, b"a", b"z" * 50, (("h", b"2"),)),
    ]
    box.append(build_batch(records, compression=compression))
    box.log.roll()
    _clean(box)
    (_, header), *_ = split(read(box.log, 0).data)
    assert (header.compression, header.max_timestamp) == (compression, NOW + 9)
    left = decode_batch(read(box.log, 0).data, max_decompressed_bytes=MAX_BYTES, verify_crc=True)
    assert [(r.timestamp_ms, r.key, r.value, tuple(r.headers)) for r in left] == records[1:]


def test_a_tombstone_stays_until_readers_had_time_to_see_it() -> None:
    box = Box(COMPACT)
    long_ago = NOW - 10**9
    box.append(keyed((b"a", b"1")), keyed((b"b", b"1")), keyed((b"a", None), timestamp=long_ago), keyed((b"b", b"2")))
    box.log.roll()
    # Counted from when what it deletes has gone, however old it is.
    for time in (NOW, NOW + 500, NOW + 999):
        _clean(box, time)
        assert _left(box) == [(2, b"a", None), (3, b"b", b"2")]
        headers = _headers(box)
        assert [header.delete_horizon_ms for header in headers] == [NOW + 1000, None]
        assert [record.timestamp_ms for record in read_all(box.log)] == [long_ago, NOW]
    _clean(box, NOW + 1000)
    assert _left(box) == [(3, b"b", b"2")]


def test_of_a_batch_with_tombstones_the_values_stay_when_these_go() -> None:
    box = Box(COMPACT)
    box.append(keyed((b"a", b"1"), (b"b", None), (b"c", b"1"), (b"d", None)))
    box.append(keyed((b"d", b"2")))
    box.log.roll()
    _clean(box)
    assert [offset for offset, _, _ in _left(box)] == [0, 1, 2, 4]
    _clean(box, NOW + 1000)
    assert _left(box) == [(0, b"a", b"1"), (2, b"c", b"1"), (4, b"d", b"2")]
    first = _headers(box)[0]
    assert (first.base_offset, first.last_offset, first.record_count, first.max_timestamp) == (0, 3, 2, NOW)


def test_a_value_behind_a_tombstone_lives_again() -> None:
    box = Box(COMPACT)
    box.append(keyed((b"a", b"1")), keyed((b"a", None)), keyed((b"a", b"2")))
    box.log.roll()
    _clean(box, NOW + 10**6)
    assert _left(box) == [(2, b"a", b"2")]


def test_control_batches_stay() -> None:
    box = Box(COMPACT)
    box.append(keyed((b"a", b"1")))
    marker = build_marker(EndTransactionMarker(ControlType.ABORT, 1), timestamp_ms=NOW, producer_id=5, producer_epoch=0)
    for _ in range(3):
        box.log.append_trusted(marker, 0, NOW)
    box.append(keyed((b"a", b"2")))
    box.log.roll()
    _clean(box)
    headers = _headers(box)
    assert [(header.base_offset, header.is_control) for header in headers] == [
        (1, True),
        (2, True),
        (3, True),
        (4, False),
    ]


def test_a_control_record_is_no_newer_value_of_a_key_with_the_same_bytes() -> None:
    box = Box(COMPACT)
    box.append(keyed((b"\x00\x00\x00\x01", b"value")))
    marker = build_marker(
        EndTransactionMarker(ControlType.COMMIT, 1), timestamp_ms=NOW, producer_id=5, producer_epoch=0
    )
    box.log.append_trusted(marker, 0, NOW)
    box.log.roll()
    _clean(box)
    assert [header.base_offset for header in _headers(box)] == [0, 1]


def test_records_without_a_key_go() -> None:
    # As a topic has them that was not always compacted; Apache Kafka lets them go, too.
    box = Box(replace(COMPACT, compact=False))
    box.append(batch(b"1"), keyed((b"a", b"2")), batch(b"3"), keyed((b"a", b"4")))
    box.log.roll()
    box.append(batch(b"5"))
    _clean(box)
    assert [offset for offset, _, _ in _left(box)] == [3, 4]


def test_an_emptied_batch_that_tells_a_producers_sequence_keeps_its_header() -> None:
    box = Box(COMPACT)
    for sequence in range(12):
        box.append(build_batch([(NOW, b"a", b"x", ())], producer_id=7, producer_epoch=0, base_sequence=sequence))
    box.append(keyed((b"a", b"last")))
    box.log.roll()
    _clean(box)
    headers = _headers(box)
    # At the ends of what were two segments and a half, and the last one of all.
    assert [(header.base_sequence, header.record_count) for header in headers] == [(4, 0), (9, 0), (11, 0), (-1, 1)]
    # Its last sequence is known from the log alone.
    box.directory.close()
    for name in box.names:
        if name.endswith(".snapshot"):
            box.disk.remove(f"{box.log.directory}/{name}")
    box.open()
    again = build_batch([(NOW, b"a", b"x", ())], producer_id=7, producer_epoch=0, base_sequence=11)
    assert box.append(again)[0][:2] == (11, 11) and box.append(again)[0].duplicate
    with pytest.raises(DuplicateSequence):
        box.append(build_batch([(NOW, b"a", b"x", ())], producer_id=7, producer_epoch=0, base_sequence=2))


def test_of_a_producer_that_is_forgotten_no_header_stays() -> None:
    box = Box(COMPACT)
    for sequence in range(4):
        box.append(build_batch([(NOW, b"a", b"x", ())], producer_id=7, producer_epoch=0, base_sequence=sequence))
    box.append(keyed((b"a", b"last")))
    box.log.roll()
    box.log.producers.expire(NOW, 1000)
    box.log.producers.expire(NOW + 1001, 1000)
    _clean(box)
    assert _left(box) == [(4, b"a", b"last")]
    assert [header.base_offset for header in _headers(box)] == [4]


def test_the_end_of_a_segment_stays_where_it_was() -> None:
    box = Box(COMPACT)
    _keys(box, [b"a"] * 30)
    box.log.roll()
    box.append(keyed((b"a", b"last")))
    bases = [segment.base_offset for segment in box.log.segments]
    _clean(box)
    _clean(box)
    # Recovery, too, finds each segment as long as it should be.
    box.disk.remove("/srv/data/recovery-point-offset-checkpoint")
    for seed in range(5):
        box.crash(seed)
        assert (box.log.log_start_offset, box.log.log_end_offset) == (0, 31)
        assert [offset for offset, _, _ in _left(box)] == [29, 30]
    assert {segment.base_offset for segment in box.log.segments} <= set(bases)


def test_small_segments_become_one() -> None:
    box = Box(COMPACT)
    _keys(box, [b"key %d" % number for number in range(5)] * 6)
    box.log.roll()
    before = len(box.log.segments)
    for _ in range(3):
        _clean(box)
    assert len(box.log.segments) < before / 2
    for kind in ("log", "index", "timeindex"):
        bases = [segment.base_offset for segment in box.log.segments]
        assert [name for name in box.names if name.endswith(f".{kind}")] in (
            [f"{base:020d}.{kind}" for base in bases],
            # The active one's are written later.
            [f"{base:020d}.{kind}" for base in bases[:-1]],
        )
    assert all(segment.size <= COMPACT.segment_bytes for segment in box.log.segments)
    assert [offset for offset, _, _ in _left(box)] == [25, 26, 27, 28, 29]


def test_reads_lookups_and_retention_work_on_what_is_left() -> None:
    box = Box(replace(COMPACT, segment_bytes=2000, index_interval_bytes=100))
    for number in range(200):
        box.append(keyed((b"key %d" % (number % 20), b"%d" % number), timestamp=NOW + number))
    box.log.roll()
    _clean(box)
    kept = [record.offset for record in read_all(box.log)]
    assert len(kept) >= 20 and kept[-20:] == list(range(180, 200))
    for offset in range(200):
        found = run(box.log.offset_for_timestamp(NOW + offset))
        assert found is not None and found.offset == next(left for left in kept if left >= offset)
        part = read(box.log, offset)
        assert part.next_offset > offset
    found = run(box.log.offset_of_max_timestamp())
    assert found is not None and found.offset == 199
    expected = {segment.path: segment.index.entries() for segment in box.log.segments}
    assert any(expected.values())
    box.reopen()
    assert [record.offset for record in read_all(box.log)] == kept
    box.log.config = replace(box.log.config, delete=True, retention_ms=10)
    assert box.log.apply_retention(NOW + 10_000) > 0
    assert read_all(box.log) == []


def test_an_emptied_batch_makes_its_segment_no_younger() -> None:
    box = Box(replace(COMPACT, delete=True, retention_ms=100))
    box.append(keyed((b"a", b"1" * 250)), keyed((b"b", b"1"), timestamp=NOW + 500))
    box.log.roll()
    box.append(keyed((b"b", b"2" * 250), timestamp=NOW + 150))
    box.log.roll()
    _clean(box)
    assert [(header.base_offset, header.record_count, header.max_timestamp) for header in _headers(box)] == [
        (0, 1, NOW),
        # The end of its segment.
        (1, 0, NOW),
        (2, 1, NOW + 150),
    ]
    assert run(box.log.offset_of_max_timestamp()) == (2, NOW + 150)
    assert run(box.log.offset_for_timestamp(NOW + 151)) is None
    assert box.log.apply_retention(NOW + 200) == 1
    assert [record.offset for record in read_all(box.log)] == [2]


def test_a_log_cleaned_up_to_its_committed_end_can_be_read_to_the_end() -> None:
    # The committed offset is that of the segment that compaction makes smaller.
    box = Box(COMPACT)
    _keys(box, [b"a"] * 4)
    box.log.roll()
    _clean(box)
    assert _left(box) == [(3, b"a", b"3")]
    box.append(keyed((b"a", b"x")))
    assert [offset for offset, _, _ in _left(box)] == [3, 4]


def test_slices_of_the_old_segments_stay_whole() -> None:
    box = Box(COMPACT)
    _keys(box, [b"a"] * 30)
    box.log.roll()
    found = read(box.log, 0, 300)
    expected = bytes(found.data)
    assert isinstance(found.data, memoryview)
    _clean(box)
    assert bytes(found.data) == expected


# When


def test_only_a_log_with_enough_news_is_compacted() -> None:
    box = Box(replace(COMPACT, min_cleanable_dirty_ratio=0.5))
    _keys(box, [b"a"] * 30)
    run(box.directory.compact())
    first = box.log.size_bytes
    assert _left(box)[0][0] > 20
    # The rest is in the active segment.
    run(box.directory.compact())
    assert box.log.size_bytes == first
    _keys(box, [b"key %d" % number for number in range(40)])
    run(box.directory.compact())
    _keys(box, [b"key 1"] * 6)
    size = box.log.size_bytes
    run(box.directory.compact())
    assert box.log.size_bytes == size
    box.log.config = replace(COMPACT, min_cleanable_dirty_ratio=0.0)
    box.log.roll()
    run(box.directory.compact())
    assert box.log.size_bytes < size


def test_what_is_older_than_max_compaction_lag_ms_is_compacted_however_little_it_is() -> None:
    box = Box(replace(COMPACT, min_cleanable_dirty_ratio=0.0, max_compaction_lag_ms=1000))
    _keys(box, [b"key %d" % number for number in range(30)])
    box.log.roll()
    run(box.directory.compact())
    box.log.config = replace(box.log.config, min_cleanable_dirty_ratio=1.0)
    _keys(box, [b"key 1"], timestamp=box.clock.now)
    box.log.roll()
    size = box.log.size_bytes
    box.clock.advance(1000)
    run(box.directory.compact())
    assert box.log.size_bytes == size
    box.clock.advance(1)
    run(box.directory.compact())
    assert box.log.size_bytes < size
    assert [offset for offset, _, _ in _left(box)][:3] == [0, 2, 3]


def test_a_log_is_overdue_by_the_first_record_that_was_not_compacted_yet_also_after_a_restart() -> None:
    box = Box(replace(COMPACT, min_cleanable_dirty_ratio=1.0, max_compaction_lag_ms=1000))
    for time in (0, 100, 2000):
        _keys(box, [b"a"], timestamp=NOW + time)
        box.log.roll()

    def is_overdue(cleaned_to: int, now: int) -> bool:
        return run(is_due(box.log, cleanable(box.log, cleaned_to, now), now, box.workers))

    for _ in range(2):
        assert not is_overdue(0, NOW + 1000)
        assert is_overdue(0, NOW + 1001)
        assert not is_overdue(1, NOW + 1001)
        assert is_overdue(1, NOW + 1101)
        assert not is_overdue(3, NOW + 9000)
        box.reopen()


def test_a_log_that_is_not_compacted_is_left_alone() -> None:
    box = Box(replace(COMPACT, compact=False))
    _keys(box, [b"a"] * 30)
    run(box.directory.compact())
    assert len(_left(box)) == 30


def test_young_segments_wait_for_min_compaction_lag_ms() -> None:
    box = Box(replace(COMPACT, min_compaction_lag_ms=1000))
    for number in range(3):
        _keys(box, [b"a", b"b"], timestamp=NOW + 500 * number)
        box.log.roll()
    assert _clean(box, NOW + 999) is None
    _clean(box, NOW + 1499)
    assert [offset for offset, _, _ in _left(box)] == list(range(6))
    _clean(box, NOW + 1500)
    assert [offset for offset, _, _ in _left(box)] == [2, 3, 4, 5]


# What goes wrong


def test_one_logs_damage_is_not_anothers(lines: Lines) -> None:
    box = Box(COMPACT)
    other = box.directory.open("other", 0, TOPIC_ID, COMPACT)
    for log in (box.log, other):
        for number in range(30):
            log.append(keyed((b"a", b"%d" % number)), 0, NOW)
    inode = box.disk.inode(box.log.segments[0].path)
    inode.data[70] ^= 1
    run(box.directory.compact())
    damaged = "compaction failed: the log is damaged, and is not compacted until the next start"
    assert [line["log"] for line in lines.of(damaged)] == ["topic-0"]
    assert len(read_all(other)) < 10
    assert box.log.offline is None and len(box.log.segments) > 3


def test_a_batch_that_unpacks_beyond_the_limit_is_left_with_its_log(lines: Lines) -> None:
    box = Box(replace(COMPACT, max_decompressed_bytes=100_000))
    box.append(build_batch([(NOW, b"a", bytes(50_000), ())], compression=Compression.ZSTD))
    _keys(box, [b"a"] * 20)
    box.log.config = replace(COMPACT, max_decompressed_bytes=1000)
    run(box.directory.compact())
    damaged = "compaction failed: the log is damaged, and is not compacted until the next start"
    for _ in range(2):
        run(box.directory.compact())
        assert [line["log"] for line in lines.of(damaged)] == ["topic-0"]
    assert box.log.log_start_offset == 0 and len(box.log.segments) > 2


def test_what_is_kept_goes_to_the_disk_in_small_parts_and_is_synced_once() -> None:
    box = Box(replace(COMPACT, segment_bytes=1 << 20))
    for number in range(40):
        box.append(keyed((b"%d" % number, bytes(10_000))), keyed((b"same", b"")))
    box.log.roll()
    box.disk.syncs.clear()
    _clean(box)
    parts = [part for part in box.disk.written_out if ".cleaned" in part[0]]
    ends = [0, *(position + size for _, position, size in parts)]
    assert [position for _, position, _ in parts] == ends[:-1]
    assert ends[-1] == box.log.segments[0].size > 400_000
    assert all(size < (64 << 10) + 11_000 for _, _, size in parts)
    assert box.disk.syncs.count(parts[0][0]) == 1


def test_the_processor_is_left_to_others_after_a_few_records(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(os, "sched_yield", lambda: counted.append(1))
    box = Box(replace(COMPACT, segment_bytes=1 << 20))
    box.append(keyed(*((b"%d" % number, b"") for number in range(1000))))
    box.log.roll()
    _clean(box)
    # Once for the keys and once for what stays.
    assert len(counted) >= 2 * 1000 // 64
    assert len(_left(box)) == 1000


@pytest.mark.parametrize("operation", ["create", "write", "sync", "sync_directory", "rename", "remove"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_leaves_a_log_that_has_all(operation: str, error: int) -> None:
    for after in range(100):
        box = Box(COMPACT)
        _keys(box, [b"a", b"b"] * 12)
        box.log.roll()
        fault = box.disk.fail(operation, after=after)
        fault.error = error
        try:
            _clean(box)
        except OSError:
            failed = True
        else:
            failed = False
        box.disk.faults.clear()
        if box.log.offline is not None:
            assert "compaction could not be finished" in box.log.offline
            box.directory.close_log("topic", 0)
            box.open_log()
        else:
            # What it replaces is forgotten last, and says nothing without the swap.
            assert not [name for name in box.names if name.endswith((".cleaned", ".swap", ".tmp"))]
        assert [record[0] for record in _left(box)][-2:] == [22, 23]
        _keys(box, [b"c"])
        box.crash(after)
        assert [record[0] for record in _left(box)][-3:] == [22, 23, 24]
        if not failed:
            assert after > 0
            return
    raise AssertionError("it never got through")


def test_a_crash_at_every_point_leaves_a_log_that_has_all() -> None:
    """The log is as before or compacted, and none of the swap's files are left."""
    outcomes = set()
    for operations in range(1000):
        box = Box(COMPACT)
        _keys(box, [b"a", b"b"] * 12)
        box.log.roll()
        box.disk.operations_left = operations
        try:
            _clean(box)
        except PowerCut:
            done = False
        else:
            done = True
        killed = operations % 2 == 0
        if killed:
            box.kill()
        else:
            box.crash(operations)
        assert not [name for name in box.names if name.endswith((".cleaned", ".swap", ".replaces", ".tmp"))]
        offsets = [record[0] for record in _left(box)]
        assert offsets == sorted(offsets) and offsets[-2:] == [22, 23]
        assert box.log.log_end_offset == 24
        outcomes.add(len(offsets))
        _clean(box)
        assert len(_left(box)) <= len(offsets)
        if done:
            break
    assert operations > 30
    # From nothing compacted, over some of the segments, to all.
    assert {2, 24} <= outcomes and len(outcomes) > 2


@pytest.mark.parametrize("seed", range(3))
def test_a_crash_while_the_crash_is_dealt_with_changes_nothing(seed: int) -> None:
    for operations in range(0, 60, 3):
        box = Box(COMPACT)
        _keys(box, [b"a", b"b"] * 12)
        box.log.roll()
        box.disk.operations_left = 40 + operations
        with contextlib.suppress(PowerCut):
            _clean(box)
        box.disk.kill()
        box.disk.operations_left = operations
        with contextlib.suppress(PowerCut):
            box.open()
        box.crash(seed)
        offsets = [record[0] for record in _left(box)]
        assert offsets == sorted(offsets) and offsets[-2:] == [22, 23]


@pytest.mark.parametrize("content", [b"", b"\x00", b"twelve", b"-1", b"4"])
def test_a_swap_of_which_nobody_knows_what_it_replaces_keeps_its_log_as_it_is(content: bytes) -> None:
    box = Box(COMPACT)
    _keys(box, [b"a", b"b"] * 12)
    segment = box.log.segments[1]
    stem = segment.path.removesuffix(".log")
    box.disk.write_file(f"{segment.path}.swap", bytes(box.disk.inode(segment.path).data), durable=True)
    box.disk.write_file(f"{stem}.replaces", content, durable=True)
    names = box.names
    assert segment.base_offset == 5
    box.disk.kill()
    examined = examine(box.path, lambda key: About(TOPIC_ID, True), box.disk)
    assert [(finding.path, finding.fix) for finding in examined.findings] == [(f"{stem}.replaces", None)]
    with pytest.raises(CorruptRecords, match="does not tell which segments"):
        box.open()
    assert box.names == names
    box.directory.abandon()
    box.disk.write_file(f"{stem}.replaces", b"5", durable=True)
    box.open()
    assert [offset for offset, _, _ in _left(box)] == list(range(24))


def test_files_of_others_with_the_names_of_a_swap_are_left_alone() -> None:
    box = Box(COMPACT)
    _keys(box, [b"a", b"b"] * 12)
    strangers = ["notes.log.swap", "notes.swap", "notes.replaces", "notes.cleaned"]
    for name in strangers:
        box.disk.write_file(f"{box.log.directory}/{name}", b"mine", durable=True)
    box.disk.kill()
    examined = examine(box.path, lambda key: About(TOPIC_ID, True), box.disk)
    assert examined.findings == ()
    box.open()
    assert set(strangers) <= set(box.names)
    assert len(_left(box)) == 24


# While it works


def _held() -> tuple[Box, HeldWorkers, "asyncio.Task[Cleaned | None]"]:
    workers = HeldWorkers()
    box = Box(COMPACT, workers=workers)
    _keys(box, [b"a", b"b"] * 12)
    box.log.roll()
    task = asyncio.ensure_future(box.clean())
    return box, workers, task


async def test_a_cut_undoes_a_swap_that_has_begun() -> None:
    for killed in (False, True):
        box, workers, task = _held()
        # Past the producers and the first new segment, to where the swap is made durable.
        for _ in range(2):
            await workers.reached()
            workers.release()
        await workers.reached()
        assert any(name.endswith(".log.swap") for name in box.names)
        box.log.truncate(3)
        assert not any(name.endswith(".swap") for name in box.names)
        end = box.log.log_end_offset
        if killed:
            box.disk.kill()
        else:
            box.disk.crash(random.Random(1))
        workers.hold = False
        box.open()
        assert box.log.log_end_offset == end <= 3
        task.cancel()
        await asyncio.wait([task])


async def test_appends_and_reads_go_on_while_a_log_is_compacted() -> None:
    box, workers, task = _held()
    steps = 0
    while not task.done():
        await asyncio.wait([task, asyncio.ensure_future(workers.reached())], return_when=asyncio.FIRST_COMPLETED)
        _keys(box, [b"c"])
        steps += 1
        assert [record[0] for record in _left(box)][-steps:] == list(range(24, 24 + steps))
        workers.release()
    await task
    assert steps > 2
    assert [record[0] for record in _left(box)] == [*range(22, 24 + steps)]


@pytest.mark.parametrize("at", range(1, 4))
@pytest.mark.parametrize("change", ["delete records", "truncate", "close", "close and open"])
async def test_a_log_that_changes_under_it_wins(change: str, at: int) -> None:
    box, workers, task = _held()
    for _ in range(at):
        await workers.reached()
        if _ < at - 1:
            workers.release()
    if change == "delete records":
        box.log.delete_records_before(20)
        box.log.apply_retention(NOW)
    elif change == "truncate":
        box.log.truncate(3)
    else:
        box.directory.close_log("topic", 0)
        if change == "close and open":
            box.open_log()
    workers.hold = False
    workers.release()
    await task
    if change == "delete records":
        await box.directory.persist_start_offsets()
    if change == "close":
        box.open_log()
    box.log.check_invariant()
    offsets = [record[0] for record in _left(box)]
    if change == "delete records":
        assert offsets[-2:] == [22, 23]
    elif change == "truncate":
        # Of what is left the first group may have been compacted before, with the later records known.
        assert set(offsets) <= {0, 1, 2} and box.log.log_end_offset <= 3
    else:
        assert offsets[-2:] == [22, 23]
    box.disk.crash(random.Random(at))
    workers.hold = False
    box.open()
    assert [record[0] for record in _left(box)] == offsets
