"""Finding records by their time."""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest
from logserver_segments.errors import CorruptRecords, LogOffline, ReadFailed
from logserver_segments.partition_log import TimestampOffset

from .conftest import Lines
from .support import NOW, SMALL, Box, DelayingCommitter, HeldWorkers, batch, read_all, run
from .transactional import TransactionalProducer


def _box(times: Sequence[Sequence[int]], **options: object) -> Box:
    """A log with a batch for each list of timestamps."""
    box = Box(**options)  # type: ignore[arg-type]
    for part in times:
        box.append(batch(*[b"x" * 20] * len(part), timestamps=[NOW + time for time in part]))
    return box


def _at(box: Box, time: int) -> int | None:
    found = run(box.log.offset_for_timestamp(NOW + time))
    return None if found is None else found.offset


def _largest(box: Box) -> TimestampOffset | None:
    found = run(box.log.offset_of_max_timestamp())
    return None if found is None else found._replace(timestamp_ms=found.timestamp_ms - NOW)


def test_the_first_record_at_or_after_a_time_is_found() -> None:
    box = _box([[10 * number] for number in range(100)])
    assert len(box.log.segments) > 3
    for time in range(-5, 991):
        assert _at(box, time) == max(0, (time + 9) // 10), time
    assert _at(box, 991) is None
    assert _largest(box) == (99, 990)


def test_of_records_with_the_same_time_the_first_is_found() -> None:
    box = _box([[5]] * 3 + [[7]] * 60 + [[9]] * 3)
    assert len(box.log.segments) > 2
    assert (_at(box, 5), _at(box, 6), _at(box, 7), _at(box, 8)) == (0, 3, 3, 63)
    assert _largest(box) == (63, 9)


def test_inside_a_batch_the_record_itself_is_found() -> None:
    box = _box([[1, 5, 3, 9], [4, 12]])
    assert [_at(box, time) for time in (0, 1, 2, 3, 4, 6, 10)] == [0, 0, 1, 1, 1, 3, 5]
    assert _largest(box) == (5, 12)


def test_times_out_of_order_are_found_where_they_first_appear() -> None:
    times = [[50], [10], [70], [20], [60], [90], [30]] * 12
    box = _box(times)
    flat = [part[0] for part in times]
    assert len(box.log.segments) > 3
    for time in range(0, 95, 5):
        assert _at(box, time) == next((n for n, other in enumerate(flat) if other >= time), None)
    assert _largest(box) == (5, 90)


def test_the_same_is_found_after_a_restart_with_later_appends_of_earlier_times() -> None:
    box = _box([[100], [900], [200]])
    box.reopen()
    box.append(batch(b"x", timestamp=NOW + 300))
    assert (_at(box, 800), _at(box, 150)) == (1, 1)
    assert _largest(box) == (1, 900)
    box.log.roll()
    box.append(batch(b"x", timestamp=NOW + 100))
    box.reopen()
    assert (_at(box, 800), _largest(box)) == (1, (1, 900))


def test_with_log_append_time_the_servers_times_count() -> None:
    box = Box(replace(SMALL, log_append_time=True))
    for number in range(40):
        box.log.append(batch(b"a" * 20, b"b" * 20, timestamp=1), 0, NOW + number)
    assert (_at(box, 0), _at(box, 17), _at(box, 40)) == (0, 34, None)
    assert _largest(box) == (78, 39)


def test_before_the_log_start_nothing_is_found() -> None:
    box = _box([[10, 99, 20], [30], [40]])
    box.log.delete_records_before(2)
    assert (_at(box, 0), _at(box, 25)) == (2, 3)
    assert _largest(box) == (4, 40)
    box.log.delete_records_before(5)
    assert (_at(box, 0), _largest(box)) == (None, None)


def test_the_largest_of_a_batch_that_the_log_start_cuts_is_that_of_what_is_left() -> None:
    box = _box([[10, 99, 80, 20], [30]])
    box.log.delete_records_before(2)
    assert _largest(box) == (2, 80)
    assert _at(box, 81) is None


def test_the_largest_time_of_a_marker_costs_no_walk_over_the_log() -> None:
    box = _box([[10 * number] for number in range(300)])
    producer = TransactionalProducer(box.log, 7)
    producer.send(b"last", now=NOW + 3000)
    producer.commit(now=NOW + 3001)
    assert len(box.log.segments) > 20
    box.log_reads()
    assert _largest(box) == (300, 3000)
    assert len(set(box.log_reads())) == 1
    # The next but one has it, if markers are all that came since.
    box.log.roll()
    for number in range(10):
        producer.commit(now=NOW + 4000 + number)
        box.log.roll()
    box.log_reads()
    assert _largest(box) == (300, 3000)
    assert len(set(box.log_reads())) == 11


def test_what_is_not_committed_is_not_found() -> None:
    box = _box([[10], [90]], committer=DelayingCommitter)
    assert (_at(box, 0), _largest(box)) == (None, None)
    box.committer.finish(0)
    box.append(*[batch(b"x" * 50, timestamp=NOW + 95)] * 20)
    assert len(box.log.segments) > 1
    assert (_at(box, 50), _at(box, 91), _largest(box)) == (1, None, (1, 90))


def test_records_without_times_are_never_later_than_anything() -> None:
    box = Box()
    for _ in range(30):
        box.append(batch(b"x" * 20, timestamp=-1))
    assert _at(box, 0) is None
    found = run(box.log.offset_of_max_timestamp())
    assert found == TimestampOffset(0, -1)
    assert _at(Box(), 0) is None and _largest(Box()) is None


@pytest.mark.parametrize("suffix", ["index", "timeindex"])
@pytest.mark.parametrize("damage", ["missing", "empty", "odd", "foreign"])
def test_a_damaged_index_is_made_again_before_it_is_relied_on(lines: Lines, suffix: str, damage: str) -> None:
    box = _box([[10 * number] for number in range(60)])
    path = getattr(box.log.segments[1], {"index": "index", "timeindex": "time_index"}[suffix]).path
    before = bytes(box.disk.inode(path).data)
    base = box.log.segments[1].base_offset
    box.directory.close()
    if damage == "missing":
        box.disk.remove(path)
    else:
        box.disk.damage(path, {"empty": b"", "odd": before[:-1], "foreign": b"\x7f" * len(before)}[damage])
    box.open()
    assert [_at(box, 10 * number) for number in range(60)] == list(range(60))
    if damage != "empty" or suffix != "index":
        assert bytes(box.disk.inode(path).data) == before
        assert [line["segment"] for line in lines.of("index made again")] == [f"{box.log.directory}/{base:020d}.log"]
    assert len(read_all(box.log)) == 60


@pytest.mark.parametrize("position", [-5, 1 << 30, "the next", "inside of a batch"])
def test_a_position_that_is_wrong_leaves_out_no_record(position: int | str) -> None:
    box = _box([[10 * number] for number in range(60)])
    index = box.log.segments[1].index
    entries = index.entries()
    assert len(entries) > 2
    wrong = {"the next": entries[1][1], "inside of a batch": entries[0][1] + 1}.get(str(position), position)
    box.directory.close()
    box.disk.damage(index.path, struct.pack(">ii", entries[0][0], wrong) + box.disk.read_file(index.path)[8:])
    box.open()
    assert [_at(box, 10 * number) for number in range(60)] == list(range(60))
    assert len(read_all(box.log)) == 60


@pytest.mark.parametrize("segment", [0, -1], ids=["sealed", "active"])
@pytest.mark.parametrize("wrong", [1 << 40, 500], ids=["far", "near"])
def test_a_base_offset_beyond_the_end_is_found_as_damage_and_goes_into_no_index(segment: int, wrong: int) -> None:
    box = _box([[10 * number] for number in range(60)])
    part = box.log.segments[segment]
    last = box.log.offset_behind(part) - 1
    box.directory.close()
    data = box.disk.inode(part.path).data
    struct.pack_into(">q", data, part.size - part.size // (last - part.base_offset + 1), wrong)
    box.disk.damage(part.path, bytes(data))
    # Without indexes all of it is walked over.
    box.disk.damage(part.index.path, b"odd")
    box.open()
    with pytest.raises(CorruptRecords):
        _at(box, 10 * last)
    with pytest.raises(CorruptRecords):
        read_all(box.log)
    box.reopen()


def test_cold_indexes_and_data_are_awaited() -> None:
    box = _box([[10 * number] for number in range(60)])
    box.disk.cold = lambda path: True
    assert [_at(box, 10 * number) for number in range(60)] == list(range(60))
    assert _largest(box) == (59, 590)


def test_a_disk_that_fails_is_an_error_that_says_so() -> None:
    box = _box([[10 * number] for number in range(60)])
    box.reopen()
    for operation in ("open", "read"):
        fault = box.disk.fail(operation, "*timeindex", times=None)
        with pytest.raises(ReadFailed):
            _at(box, 100)
        box.disk.faults.remove(fault)
    fault = box.disk.fail("read", "*.log", times=None)
    with pytest.raises(ReadFailed):
        _at(box, 100)
    with pytest.raises(ReadFailed):
        box.log.delete_records_before(1)
        _largest(box)


def test_a_damaged_batch_is_an_error_that_says_so() -> None:
    box = _box([[10], [20]])
    inode = box.disk.inode(box.log.segments[0].path)
    inode.data[61:70] = b"\xff" * 9
    with pytest.raises(CorruptRecords, match="offset 0 can't be decoded"):
        _at(box, 5)
    inode.data[16] = 9
    with pytest.raises(CorruptRecords, match="damaged"):
        _at(box, 5)


def test_a_closed_log_is_not_searched() -> None:
    box = _box([[10]])
    box.directory.close_log("topic", 0)
    for search in (box.log.offset_for_timestamp(0), box.log.offset_of_max_timestamp()):
        with pytest.raises(LogOffline):
            run(search)


async def test_a_search_goes_on_where_segments_were_deleted_under_it() -> None:
    workers = HeldWorkers()
    box = _box([[10 * number] for number in range(60)], workers=workers)
    search = asyncio.ensure_future(_found(box, 0))
    await workers.reached()
    box.log.delete_records_before(30)
    box.log.apply_retention(NOW)
    box.log.remove_doomed(NOW)
    workers.hold = False
    workers.release()
    # The read had begun, so the answer is of before or of after.
    assert await search in (0, 30)


async def _found(box: Box, time: int) -> int | None:
    found = await box.log.offset_for_timestamp(NOW + time)
    return None if found is None else found.offset


async def test_a_search_that_makes_an_index_again_survives_that_the_segment_goes() -> None:
    workers = HeldWorkers()
    workers.hold = False
    box = _box([[10 * number] for number in range(60)], workers=workers)
    box.reopen()
    box.disk.damage(box.log.segments[0].time_index.path, b"")
    workers.hold = True
    search = asyncio.ensure_future(_found(box, 0))
    await workers.reached()
    box.log.delete_records_before(30)
    box.log.apply_retention(NOW)
    workers.hold = False
    workers.release()
    assert await search == 30


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_a_cold_search_goes_on_where_segments_were_deleted_under_it(at: int) -> None:
    workers = HeldWorkers()
    box = _box([[10 * number] for number in range(60)], workers=workers)
    box.disk.cold = lambda path: True
    search = asyncio.ensure_future(_found(box, 5))
    for number in range(at):
        await workers.reached()
        if number + 1 < at:
            workers.release()
    box.log.delete_records_before(30)
    box.log.apply_retention(NOW)
    box.log.remove_doomed(NOW)
    workers.hold = False
    workers.release()
    assert await search in (1, 30)
