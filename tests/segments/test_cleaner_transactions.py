"""Compaction of a log with transactions: aborted records go, open ones stay, markers stay while they are needed."""

import random
from dataclasses import replace

import pytest
from logserver_records.batch import BatchHeader, split
from logserver_segments.compaction.swap import (
    begin_swap,
    end_swap,
    finish_swaps,
    forget_swap,
    undo_swap,
    write_replaces,
)
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.segment import file_name

from .fake_disk import FakeDisk, PowerCut
from .support import NOW, SMALL, Box, keyed, run
from .transactional import TransactionalProducer, aborted, read_committed

RETENTION_MS = 1000
COMPACT = replace(SMALL, compact=True, delete=False, segment_bytes=400, delete_retention_ms=RETENTION_MS)


def _clean(box: Box, now: int = NOW) -> None:
    run(box.clean(now))
    box.log.check_invariant()


def _headers(box: Box) -> list[BatchHeader]:
    return [header for segment in box.log.segments for _, header in split(box.disk.inode(segment.path).data)]


def _markers(box: Box) -> list[int]:
    return [header.base_offset for header in _headers(box) if header.is_control]


def _box() -> tuple[Box, TransactionalProducer]:
    box = Box(COMPACT)
    return box, TransactionalProducer(box.log, 7)


def _pad(box: Box) -> None:
    """So that what came before is not at the end of a segment."""
    box.append(keyed((b"pad", b"x")))
    box.log.roll()


def test_aborted_records_go_and_do_not_count_as_newer() -> None:
    box, producer = _box()
    box.append(keyed((b"a", b"old")), keyed((b"b", b"old")))
    producer.send(b"new", key=b"a")
    producer.abort()
    producer.send(b"new", key=b"b")
    producer.commit()
    producer.send(b"last", key=b"c")
    producer.commit()
    _pad(box)
    _clean(box)
    assert read_committed(box.log) == [(0, b"old"), (4, b"new"), (6, b"last"), (8, b"x")]
    assert [header.base_offset for header in _headers(box) if not header.is_control] == [0, 4, 6, 8]


def test_records_whose_abort_marker_is_in_the_active_segment_go() -> None:
    box, producer = _box()
    box.append(keyed((b"a", b"old")))
    producer.send(b"new", key=b"a")
    _pad(box)
    producer.abort()
    box.append(keyed((b"b", b"x")))
    assert box.log.last_stable_offset == box.log.log_end_offset
    _clean(box)
    assert [header.base_offset for header in _headers(box) if header.record_count] == [0, 2, 3, 4]
    assert read_committed(box.log) == [(0, b"old"), (2, b"x"), (4, b"x")]


def test_what_is_behind_an_open_transaction_is_not_touched() -> None:
    box, producer = _box()
    other = TransactionalProducer(box.log, 8)
    box.append(keyed((b"a", b"1")))
    box.append(keyed((b"a", b"2")))
    box.log.roll()
    producer.send(b"in", key=b"k")
    for number in range(3):
        other.send(b"aborted", key=b"a")
        other.abort()
        box.append(keyed((b"a", b"%d" % (number + 3))))
    box.log.roll()
    before = [header.base_offset for header in _headers(box)]
    _clean(box)
    # Only the segment before it was looked at, and 3 is not known of yet.
    assert [header.base_offset for header in _headers(box)] == before[1:]
    assert box.log.last_stable_offset == 2
    producer.commit()
    box.log.roll()
    _clean(box)
    assert read_committed(box.log) == [(2, b"in"), (11, b"5")]


@pytest.mark.parametrize("is_commit", [False, True])
def test_a_marker_stays_until_its_records_are_gone_and_readers_have_passed(is_commit: bool) -> None:
    box, producer = _box()
    producer.send(b"old", key=b"a")
    marker = (producer.commit() if is_commit else producer.abort()).base_offset
    # Later ones of the producer tell its sequence; they are not to be compacted.
    _pad(box)
    producer.send(b"new", key=b"a")
    producer.commit()
    expected = read_committed(box.log)
    box.log.roll()
    # Its records go now, however long ago it was; then they are gone, but a reader may be on the way from one to the
    # other.
    late = NOW + 10 * RETENTION_MS
    for time, horizon in ((late, None), (late, late + RETENTION_MS), (late + RETENTION_MS - 1, late + RETENTION_MS)):
        _clean(box, time)
        (found,) = (header for header in _headers(box) if header.base_offset == marker)
        assert (found.delete_horizon_ms, found.max_timestamp, found.is_control) == (horizon, NOW, True)
        assert (marker in {found.last_offset for found in aborted(box.log)}) is not is_commit
    _clean(box, late + RETENTION_MS)
    assert marker not in _markers(box)
    assert aborted(box.log) == []
    assert read_committed(box.log) == [(offset, value) for offset, value in expected if value != b"old"]


def test_a_marker_that_tells_the_epoch_stays_as_long_as_its_producer_is_known() -> None:
    box, producer = _box()
    producer.version = 2
    producer.send(b"in", key=b"a")
    marker = producer.abort().base_offset
    _pad(box)
    late = NOW + RETENTION_MS + 1
    for time in (NOW, NOW, late):
        _clean(box, time)
    assert _markers(box) == [marker]
    box.log.producers.expire(NOW, RETENTION_MS)
    box.log.producers.expire(late, RETENTION_MS)
    _clean(box, late)
    assert _markers(box) == []


def test_the_index_of_a_compacted_segment_has_the_markers_that_are_in_it() -> None:
    box = Box(replace(COMPACT, segment_bytes=700))
    expected = []
    for number in range(30):
        producer = TransactionalProducer(box.log, number)
        first = producer.send(b"in" + b"." * 40, key=b"k").base_offset
        last = producer.abort().base_offset
        expected.append(AbortedTransaction(number, first, last, last + 1))
    _pad(box)
    count = len(box.log.segments)
    # From the first restart on.
    box.config = replace(box.config, segment_bytes=2000)
    for restart in (box.reopen, box.kill, box.crash):
        _clean(box)
        assert aborted(box.log) == expected
        restart()
        assert aborted(box.log) == expected
        for segment in box.log.segments:
            own = [one for one in expected if box.log.segment_at(one.last_offset) is segment]
            assert len(segment.aborted) == len(own)
            assert (file_name(segment.base_offset, ".txnindex") in box.names) is bool(own)
    assert len(box.log.segments) < count
    box.log.producers.expire(NOW, 0)
    box.log.producers.expire(NOW + 1, 0)
    for time in (NOW, NOW, NOW + RETENTION_MS):
        _clean(box, time)
    # All gone but those at the end of a segment.
    assert [found.last_offset for found in aborted(box.log)] == _markers(box)
    assert set(_markers(box)) <= {box.log.offset_behind(segment) - 1 for segment in box.log.segments}
    assert sum(name.endswith(".txnindex") for name in box.names) == len(_markers(box)) < 3


@pytest.mark.parametrize("killed", [False, True])
def test_aborted_records_are_not_seen_wherever_a_compaction_ends(killed: bool) -> None:
    for operations in range(300):
        box, producer = _box()
        for number in range(6):
            producer.send(b"%d" % number, key=b"%d" % (number % 3))
            (producer.abort if number % 2 else producer.commit)()
        _pad(box)
        run(box.directory.checkpoint())
        expected = dict(read_committed(box.log))
        box.disk.operations_left = operations
        try:
            _clean(box)
        except PowerCut:
            (box.kill if killed else box.crash)()
            found = read_committed(box.log)
            assert set(found) <= set(expected.items()) and found[-3:] == list(expected.items())[-3:]
        else:
            assert operations > 10
            return
    raise AssertionError("it never came to its end")


def test_a_compaction_is_finished_however_often_the_power_goes_meanwhile() -> None:
    for operations in range(300):
        box, producer = _box()
        # Of an aborted transaction some records are in the segment before its marker's.
        producer.send(b"in", b"in", key=b"a")
        box.append(keyed((b"b", b"x" * 300)))
        producer.abort()
        box.append(keyed((b"c", b"x" * 300)))
        _pad(box)
        run(box.directory.checkpoint())
        expected = read_committed(box.log)
        box.disk.operations_left = operations
        try:
            _clean(box)
            return
        except PowerCut:
            box.disk.kill()
        for more in range(300):
            box.disk.operations_left = more
            try:
                box.open()
                break
            except PowerCut:
                box.disk.kill()
        box.disk.operations_left = None
        assert read_committed(box.log) == expected
    raise AssertionError("it never came to its end")


def _swap_files(disk: FakeDisk) -> None:
    disk.make_directory("/d")
    for suffix in (".log", ".index", ".timeindex", ".txnindex"):
        for base in (0, 5):
            disk.write_file(f"/d/{file_name(base, suffix)}", b"old", durable=True)
        disk.write_file(f"/d/{file_name(0, suffix)}.1.cleaned", b"new", durable=True)
    write_replaces("/d", 0, 5, "1", disk)
    disk.sync_filesystem("/")


@pytest.mark.parametrize("killed", [False, True])
def test_a_swap_that_ends_anywhere_leaves_the_old_files_or_the_new_ones(killed: bool) -> None:
    seen = set()
    for operations in range(60):
        disk = FakeDisk()
        _swap_files(disk)
        disk.operations_left = operations
        is_done = True
        try:
            begin_swap("/d", 0, "1", disk)
            disk.sync_directory("/d")
            end_swap("/d", 0, [0, 5], disk)
            disk.sync_directory("/d")
            forget_swap("/d", 0, disk)
        except PowerCut:
            is_done = False
        if killed:
            disk.kill()
        else:
            disk.crash(random.Random(operations))
        disk.operations_left = None
        finish_swaps("/d", disk.list("/d"), disk)
        names = {entry.name for entry in disk.list("/d")}
        content = disk.read_file(f"/d/{file_name(0, '.log')}")
        seen.add(content)
        for suffix in (".index", ".timeindex", ".txnindex"):
            # Offset and time index may be missing, then they are made again, and the transaction index with them.
            if file_name(0, suffix) in names and file_name(0, ".index") in names:
                assert disk.read_file(f"/d/{file_name(0, suffix)}") == content
        assert (file_name(5, ".log") in names) is (content == b"old")
        assert not any(name.endswith((".cleaned", ".swap", ".replaces")) for name in names)
        if is_done:
            assert seen == {b"old", b"new"}
            return
    raise AssertionError("it never came to its end")


def test_a_swap_that_is_undone_leaves_the_old_files() -> None:
    disk = FakeDisk()
    _swap_files(disk)
    before = {entry.name for entry in disk.list("/d") if not entry.name.endswith(".cleaned")}
    begin_swap("/d", 0, "1", disk)
    undo_swap("/d", 0, disk)
    assert {entry.name for entry in disk.list("/d")} == before
    assert not finish_swaps("/d", disk.list("/d"), disk)


def test_what_an_open_transaction_keeps_from_compaction_is_compacted_later() -> None:
    box, producer = _box()
    for number in range(20):
        box.append(keyed((b"a", b"%d" % number)))
    box.log.roll()
    producer.send(b"in", key=b"k")
    for number in range(20):
        box.append(keyed((b"a", b"%d" % number)))
    run(box.directory.compact())
    # All but the first segments' ends stays behind the transaction.
    assert len([header for header in _headers(box) if header.base_offset >= 20]) == 21
    assert len(_headers(box)) < 30
    producer.commit()
    box.append(keyed((b"a", b"last")))
    box.log.roll()
    run(box.directory.compact())
    assert [value for _, value in read_committed(box.log)] == [b"in", b"last"]
