"""Reading what was given out: each record once, however often the log had grown when it was read."""

import asyncio
import random

import hypothesis.strategies as st
from hypothesis import given
from logserver_records.batch import whole_batches
from logserver_records.codec import build_batch, decode_batch

from logserver.coordinator.delivery.records import RecordReader
from logserver.coordinator.delivery.volatile import MemoryRecords


def _appended(records: MemoryRecords, sizes: list[int]) -> None:
    for size in sizes:
        records.append(build_batch([(0, None, b"x", ())] * size))


def _offsets(batches: list[bytes | bytearray | memoryview]) -> list[int]:
    return [
        record.offset
        for data in batches
        for position, _ in whole_batches(data)
        for record in decode_batch(data, position, max_decompressed_bytes=1 << 20)
    ]


def test_pieces_that_overlap_have_a_record_once() -> None:
    records = MemoryRecords("v", 1 << 20)
    reader = RecordReader(records, False)
    _appended(records, [2, 2])
    reader.look(0)
    _appended(records, [4])
    reader.look(2)
    assert _offsets(asyncio.run(reader.read([(2, 5)])).batches) == [2, 3, 4, 5, 6, 7]
    assert [record.offset for record in asyncio.run(reader.records([(2, 5)]))] == [2, 3, 4, 5]


@given(
    growth=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=8),
    seed=st.integers(0, 1 << 32),
)
def test_what_is_read_is_there_once_and_in_order_whatever_was_looked_at_before(
    growth: list[list[int]], seed: int
) -> None:
    chance = random.Random(seed)
    records = MemoryRecords("v", 1 << 20)
    reader = RecordReader(records, False)
    for sizes in growth:
        _appended(records, sizes)
        reader.look(chance.randrange(records.high_watermark))
        edges = sorted(chance.sample(range(records.high_watermark + 1), 2 * min(2, (records.high_watermark + 1) // 2)))
        ranges = [(first, last - 1) for first, last in zip(edges[::2], edges[1::2], strict=True)]
        wanted = [offset for first, last in ranges for offset in range(first, last + 1)]
        assert [record.offset for record in asyncio.run(reader.records(ranges))] == wanted
        found = asyncio.run(reader.read(ranges))
        offsets = _offsets(found.batches)
        assert offsets == sorted(set(offsets)) and set(wanted) <= set(offsets) and not found.missing
