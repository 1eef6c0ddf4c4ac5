"""Reading: whole batches, from the one that holds an offset on, and only what is committed."""

import struct
from dataclasses import replace

import pytest
from logserver_records.batch import split
from logserver_segments.errors import CorruptRecords, OffsetOutOfRange

from .support import NOW, SMALL, Box, DelayingCommitter, batch, read, read_all, records_in, run, values


def test_a_read_inside_a_batch_returns_the_whole_batch() -> None:
    box = Box()
    box.append(batch(b"a", b"b", b"c"), batch(b"d"))
    found = read(box.log, 1)
    assert [record.offset for record in records_in(found.data)] == [0, 1, 2]
    assert found.next_offset == 3


def test_a_read_gives_as_many_whole_batches_as_fit() -> None:
    box = Box()
    payload = batch(b"0123456789")
    box.append(*[payload] * 5)
    for max_bytes, count in ((0, 1), (1, 1), (len(payload), 1), (2 * len(payload), 2), (3 * len(payload) - 1, 2)):
        found = read(box.log, 1, max_bytes)
        assert [header.base_offset for _, header in split(found.data)] == list(range(1, 1 + count)), max_bytes
        assert found.next_offset == 1 + count


def test_a_first_batch_larger_than_the_limit_comes_alone() -> None:
    box = Box()
    box.append(batch(b"x" * 500), batch(b"y"))
    found = read(box.log, 0, 100)
    assert values(records_in(found.data)) == [b"x" * 500]


def test_a_read_ends_with_its_segment_and_the_next_goes_on() -> None:
    box = Box()
    box.fill(30)
    assert len(box.log.segments) > 2
    second = box.log.segments[1].base_offset
    found = read(box.log, second - 2, 100_000)
    assert found.next_offset == second
    assert len(read_all(box.log, 100_000)) == 30


def test_every_offset_can_be_read_in_every_size() -> None:
    box = Box()
    for number in range(25):
        box.append(batch(*[b"%d.%d" % (number, part) for part in range(number % 3 + 1)]))
    everything = {record.offset: record for record in read_all(box.log)}
    for offset in range(box.log.log_end_offset):
        for max_bytes in (0, 100, 333, 2000):
            records = records_in(read(box.log, offset, max_bytes).data)
            assert offset in [record.offset for record in records]
            assert records == [everything[record.offset] for record in records]


def test_at_the_committed_offset_there_is_nothing_yet() -> None:
    box = Box()
    assert read(box.log, 0, 100) == (b"", 0)
    box.append(batch(b"a"))
    assert read(box.log, 1, 100) == (b"", 1)


@pytest.mark.parametrize("offset", [-1, 0, 2, 31, 1 << 62])
def test_outside_of_the_log_is_out_of_range(offset: int) -> None:
    box = Box()
    box.fill(30)
    box.log.delete_records_before(3)
    with pytest.raises(OffsetOutOfRange, match=f"offset {offset} of topic-0 .* from 3 to 30"):
        box.log.read(offset, 100)


def test_what_is_not_committed_is_not_seen() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(3)
    assert (box.log.committed_offset, box.log.log_end_offset) == (0, 3)
    for offset in range(4):
        assert read(box.log, offset, 1000) == (b"", offset)
    box.committer.finish(0)
    box.fill(20, first=3)
    assert box.log.committed_offset == 3
    assert len(records_in(read(box.log, 0, 100_000).data)) == 3
    assert read(box.log, 3, 1000) == (b"", 3)
    assert len(box.log.segments) > 1
    assert read(box.log, 15, 1000) == (b"", 15)


def test_batches_keep_their_bounds_across_a_long_segment() -> None:
    # Longer than one look ahead, so that the walk has to fetch again.
    config = replace(SMALL, segment_bytes=1 << 20, index_interval_bytes=1 << 20)
    box = Box(config)
    box.fill(300, size=100)
    assert len(box.log.segments) == 1
    for offset in (0, 17, 150, 299):
        assert records_in(read(box.log, offset, 5000).data)[0].offset == offset
    assert read(box.log, 0, 20_000).next_offset > 90


def test_a_read_uses_the_index_and_not_the_whole_segment() -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 20))
    box.fill(3000, size=100)
    box.reopen()
    box.disk.reads.clear()
    assert records_in(read(box.log, 2500).data)[0].offset == 2500
    read_bytes = sum(size for path, _, size in box.disk.reads if path.endswith(".log"))
    assert read_bytes < 10_000


def test_a_damaged_batch_behind_the_first_can_be_read_as_stored() -> None:
    # The CRC is the reader's to check; the walk sees headers only.
    box = Box()
    box.append(batch(b"a" * 30), batch(b"b" * 30))
    inode = box.disk.inode(box.log.segments[0].path)
    inode.data[75] ^= 1
    assert read(box.log, 0, 1000).next_offset == 2


def test_a_damaged_base_offset_sends_no_reader_beyond_the_end() -> None:
    box = Box()
    box.append(batch(b"a" * 30), batch(b"b" * 30))
    inode = box.disk.inode(box.log.segments[0].path)
    for position in (1, len(inode.data) // 2 + 1):
        inode.data[position] = 1
        for offset in (0, 1):
            for cold in (False, True):
                box.disk.cold = lambda path, cold=cold: cold
                with pytest.raises(CorruptRecords, match="is damaged"):
                    read(box.log, offset, 1000)
        inode.data[position] = 0
    assert len(read_all(box.log)) == 2


def _sealed() -> Box:
    """A log with 20 batches of one size and one record in a sealed segment, each of them indexed but the first."""
    box = Box(replace(SMALL, segment_bytes=1 << 20, index_interval_bytes=0))
    for number in range(20):
        box.append(batch(b"record %02d" % number, timestamp=NOW + number))
    box.log.roll()
    return box


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("wrong", [0, 6, 9])
def test_a_base_offset_that_is_too_small_hides_no_other_record_and_sends_no_reader_back(wrong: int, cold: bool) -> None:
    box = _sealed()
    size = box.log.segments[0].size // 20
    struct.pack_into(">q", box.disk.inode(box.log.segments[0].path).data, 10 * size, wrong)
    box.disk.cold = lambda path: cold
    for max_bytes in (1, 5 * size, 100 * size):
        for offset in range(20):
            try:
                found = read(box.log, offset, max_bytes)
            except CorruptRecords:
                continue
            assert found.next_offset > offset
            offsets = {header.base_offset for _, header in split(found.data)}
            assert {*range(offset, found.next_offset)} - {10} <= offsets, (max_bytes, offset)


@pytest.mark.parametrize("cold", [False, True])
def test_a_base_offset_that_is_too_large_hides_no_record_of_the_next_segment(cold: bool) -> None:
    box = _sealed()
    box.fill(3, first=20)
    size = box.log.segments[0].size // 20
    struct.pack_into(">q", box.disk.inode(box.log.segments[0].path).data, 19 * size, 20)
    box.disk.cold = lambda path: cold
    for offset in (10, 18, 19):
        with pytest.raises(CorruptRecords):
            read(box.log, offset, 100 * size)


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(
    "position", ["negative", "far behind", "the end", "the next", "five later", "inside of a batch"]
)
def test_an_index_entry_that_leads_astray_leaves_out_no_record(position: str, cold: bool) -> None:
    box = _sealed()
    segment = box.log.segments[0]
    entries, size = segment.index.entries(), segment.size // 20
    box.directory.close()
    for number in range(len(entries) - 1):
        key, right = entries[number]
        wrong = {
            "negative": -right,
            "far behind": 1 << 30,
            "the end": segment.size,
            "the next": right + size,
            "five later": right + 5 * size,
            "inside of a batch": right + 7,
        }[position]
        changed = [*entries[:number], (key, wrong), *entries[number + 1 :]]
        box.disk.damage(segment.index.path, b"".join(struct.pack(">ii", *entry) for entry in changed))
        for max_bytes in (1, 5 * size, 100 * size):
            box.open()
            box.disk.cold = lambda path: cold
            assert [record.offset for record in read_all(box.log, max_bytes)] == list(range(20))
            for offset in range(20):
                assert read(box.log, offset, max_bytes).data[7] == offset
            box.directory.close()


def test_a_damaged_header_is_an_error_that_names_the_file() -> None:
    box = Box()
    box.append(batch(b"a" * 30), batch(b"b" * 30))
    inode = box.disk.inode(box.log.segments[0].path)
    inode.data[16] = 7
    with pytest.raises(CorruptRecords, match=r"00000000000000000000\.log is damaged"):
        read(box.log, 0, 1000)


def test_a_read_behind_the_log_start_inside_a_batch_gives_the_batch() -> None:
    box = Box()
    box.append(batch(b"a", b"b", b"c"))
    box.log.delete_records_before(2)
    assert [record.offset for record in records_in(read(box.log, 2).data)] == [0, 1, 2]
    assert [record.offset for record in read_all(box.log)] == [2]


def test_reading_an_empty_log_at_an_offset_beyond_zero() -> None:
    box = Box()
    box.fill(5)
    box.log.delete_records_before(5)
    box.log.roll()
    box.log.apply_retention(NOW)
    box.reopen()
    assert (box.log.log_start_offset, box.log.log_end_offset) == (5, 5)
    assert read(box.log, 5, 100) == (b"", 5)
    assert run(box.log.offset_for_timestamp(0)) is None
