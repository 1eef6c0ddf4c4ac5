"""Reading through mappings, few open files, and a disk that has to be waited for."""

import asyncio
import errno
from collections.abc import Awaitable
from dataclasses import replace

import pytest
from logserver_records.batch import split
from logserver_segments.errors import LogOffline, OffsetOutOfRange, ReadFailed
from logserver_segments.reading import Slice

from .support import NOW, SMALL, Box, HeldWorkers, batch, read, read_all, records_in, values


def _filled(**options: object) -> Box:
    box = Box(**options)  # type: ignore[arg-type]
    box.fill(40)
    assert len(box.log.segments) > 3
    return box


def test_sealed_segments_are_read_through_mappings_and_the_active_one_is_not() -> None:
    box = _filled()
    box.log_reads()
    assert len(read_all(box.log)) == 40
    sealed = [segment.path for segment in box.log.segments[:-1]]
    assert [path for path in box.disk.maps if path.endswith(".log")] == sealed
    assert {path for path, _, _ in box.disk.reads if path.endswith(".log")} == {box.log.segments[-1].path}


def test_a_slice_of_a_sealed_segment_is_not_a_copy() -> None:
    box = _filled()
    found = read(box.log, 0, 500)
    assert isinstance(found.data, memoryview) and found.data.readonly


@pytest.mark.parametrize("cold", [".log", "index", ""])
def test_cold_data_is_awaited(cold: str) -> None:
    box = _filled()
    box.disk.cold = lambda path: path.endswith(cold)
    for offset in range(40):
        found = box.log.read(offset, 200)
        if cold != "index":
            assert not isinstance(found, Slice)
        else:
            # The newest entries are in memory.
            assert isinstance(found, Slice) is (offset >= box.log.segments[-1].base_offset)
        data = read(box.log, offset, 200).data
        assert records_in(data)[0].offset == offset
        if not isinstance(found, Slice):
            asyncio.run(_awaited(found))
    assert len(read_all(box.log)) == 40


async def _awaited(found: Awaitable[Slice]) -> Slice:
    return await found


def test_one_open_file_and_one_mapping_are_enough() -> None:
    box = _filled(open_files=1, mapped_files=1)
    assert len(read_all(box.log)) == 40
    for offset in (0, 39, 12, 38, 1):
        assert records_in(read(box.log, offset).data)[0].offset == offset
    box.fill(5, first=40)
    assert len(read_all(box.log)) == 45
    # The file and the index files that are opened for a moment.
    assert box.disk.open_files == 1
    assert len(box.directory.resources.maps) == len(box.directory.resources.files) == 1


def test_slices_outlive_the_mapping_that_was_taken_back() -> None:
    box = _filled(open_files=1, mapped_files=1)
    first = read(box.log, 0, 500)
    expected = bytes(first.data)
    read_all(box.log)
    assert bytes(first.data) == expected


def test_where_nothing_more_can_be_mapped_files_are_read() -> None:
    box = _filled()
    box.disk.fail("map", error=errno.ENOMEM, times=None)
    assert len(read_all(box.log)) == 40


def test_a_disk_that_fails_to_read_is_an_error_of_that_read_only() -> None:
    box = _filled()
    for cold in (False, True):
        box.disk.cold = lambda path, cold=cold: cold
        box.log.segments[-1].release()
        fault = box.disk.fail("read", "*.log", times=None)
        with pytest.raises(ReadFailed, match="topic-0: the disk failed to read"):
            read(box.log, 39)
        box.disk.faults.remove(fault)
        assert values(records_in(read(box.log, 39).data)) == [b"record 39" + b"." * 20]
    assert box.log.offline is None


def test_a_file_that_can_not_be_opened_is_an_error_of_that_read_only() -> None:
    box = _filled()
    box.log.segments[0].release()
    fault = box.disk.fail("open", "*.log", error=errno.EMFILE, times=None)
    with pytest.raises(ReadFailed):
        read(box.log, 0)
    box.disk.faults.remove(fault)
    assert len(read_all(box.log)) == 40


# What happens while a read waits


def _held(offset: int) -> tuple[Box, HeldWorkers, "asyncio.Task[Slice]"]:
    workers = HeldWorkers()
    box = _filled(workers=workers)
    box.disk.cold = lambda path: True
    found = box.log.read(offset, 300)
    assert not isinstance(found, Slice)
    return box, workers, asyncio.ensure_future(_awaited(found))


async def test_a_read_under_way_survives_that_its_segment_is_deleted() -> None:
    box, workers, reading = _held(5)
    await workers.reached()
    box.log.delete_records_before(30)
    box.log.apply_retention(NOW)
    box.log.remove_doomed(NOW)
    workers.hold = False
    workers.release()
    try:
        found = await reading
    except OffsetOutOfRange:
        # Its index was still to be read.
        return
    assert records_in(found.data)[0].offset == 5


async def test_a_read_in_a_gap_goes_on_at_the_log_start_that_was_raised_meanwhile() -> None:
    # As another program's compaction leaves one, at the end of a segment.
    workers = HeldWorkers()
    workers.hold = False
    box = _filled(workers=workers)
    segment = box.log.segments[0]
    behind = box.log.offset_behind(segment)
    box.directory.close()
    content = bytes(box.disk.inode(segment.path).data)
    (_, last) = list(split(content))[-1]
    box.disk.damage(segment.path, content[: -last.size])
    box.open()
    box.disk.cold = lambda path: path.endswith(".log")
    assert records_in(read(box.log, behind - 1).data)[0].offset == behind
    workers.hold = True
    found = box.log.read(behind - 1, 1)
    assert not isinstance(found, Slice)
    reading = asyncio.ensure_future(_awaited(found))
    await workers.reached()
    box.log.delete_records_before(behind + 2)
    workers.hold = False
    workers.release()
    assert records_in((await reading).data)[0].offset == behind + 2


async def test_a_read_that_has_not_begun_when_its_segment_goes_is_out_of_range() -> None:
    workers = HeldWorkers()
    workers.hold = False
    box = _filled(workers=workers)
    box.disk.cold = lambda path: True
    found = box.log.read(5, 300)
    assert not isinstance(found, Slice)
    box.log.delete_records_before(30)
    box.log.apply_retention(NOW)
    with pytest.raises(OffsetOutOfRange):
        await found


async def test_a_read_that_has_not_begun_when_the_log_closes_is_refused() -> None:
    workers = HeldWorkers()
    workers.hold = False
    box = _filled(workers=workers)
    box.disk.cold = lambda path: True
    found = box.log.read(5, 300)
    assert not isinstance(found, Slice)
    box.directory.close_log("topic", 0)
    with pytest.raises(LogOffline):
        await found


async def test_a_read_under_way_gives_nothing_that_was_truncated() -> None:
    box, workers, reading = _held(38)
    await workers.reached()
    box.log.truncate(36)
    box.append(*[batch(b"other")] * 4)
    workers.hold = False
    workers.release()
    for record in records_in((await reading).data):
        assert record.value == b"other"


async def test_many_reads_of_a_segment_with_a_bad_index_make_it_again_once_and_all_are_right() -> None:
    workers = HeldWorkers()
    workers.hold = False
    box = _filled(workers=workers)
    first = box.log.segments[0]
    box.reopen()
    box.disk.damage(first.index.path, b"\xff" * 16)
    workers.hold = True
    reads = []
    for offset in range(5):
        found = box.log.read(offset, 300)
        assert not isinstance(found, Slice)
        reads.append(asyncio.ensure_future(_awaited(found)))
    await workers.reached(5)
    workers.release()
    await workers.reached(5)
    workers.hold = False
    workers.release()
    for offset, reading in enumerate(reads):
        assert records_in((await reading).data)[0].offset == offset
    box.log.check_invariant()
    assert isinstance(box.log.read(3, 300), Slice)
    assert not [name for name in box.names if name.endswith(".tmp")] or box.crash()
    assert len(read_all(box.log)) == 40


async def test_appends_go_on_while_a_read_waits() -> None:
    box, workers, reading = _held(38)
    await workers.reached()
    box.fill(30, first=40)
    workers.hold = False
    workers.release()
    assert records_in((await reading).data)[0].offset == 38
    assert len([record async for record in _all(box)]) == 70


async def _all(box: Box):  # type: ignore[no-untyped-def]
    offset = 0
    while offset < box.log.committed_offset:
        found = box.log.read(offset, 1000)
        part = found if isinstance(found, Slice) else await found
        for record in records_in(part.data):
            yield record
        offset = part.next_offset


def test_an_index_entry_that_leads_astray_is_noticed_and_the_index_made_again() -> None:
    box = Box(replace(SMALL, segment_bytes=2000))
    box.fill(60)
    index = box.log.segments[0].index
    entries = index.entries()
    assert len(entries) > 4
    box.reopen()
    content = bytearray(box.disk.inode(index.path).data)
    # In the middle, where the check of the last entry does not look.
    content[4:8] = (int.from_bytes(content[4:8], "big") + 7).to_bytes(4, "big")
    box.disk.damage(index.path, bytes(content))
    assert len(read_all(box.log)) == 60
    for offset in range(60):
        assert records_in(read(box.log, offset).data)[0].offset == offset
    assert box.log.segments[0].index.entries() == entries
