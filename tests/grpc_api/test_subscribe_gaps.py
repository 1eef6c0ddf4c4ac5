"""Subscribe where reading moves on and meets no record: behind what compaction removed, over control batches."""

import asyncio
from typing import Any

import pytest
from logserver_client.aio import replay
from logserver_records.batch import split
from logserver_records.codec import build_batch
from logserver_segments.log import Log
from logserver_segments.reading import Slice
from logserverpb.v1 import log_pb2

from tests.broker.harness import NOW_MS, batch, records_of, values_of

from .servers import RECORDS, Server, Subscriber, at

PLENTY = 1 << 20
BEGIN = at(earliest=True)


def moved_on(data: log_pb2.PartitionData) -> bool:
    """Whether an entry carries nothing but offsets."""
    return not data.batches and not data.records and not data.HasField("error")


def keyed(value: bytes | None) -> bytes:
    return build_batch([(NOW_MS, b"k", value, ())])


async def compact(server: Server) -> None:
    """Compacts all that is stored of `t`, at once."""
    log: Any = server.partition().log
    log.roll()
    directory = server.daemon.directories.online[0]
    # A tombstone goes with the compaction after the one that let go what it deletes.
    for _ in range(2):
        directory._offsets.note_cleaned(("t", 0), 0)
        await directory.compact()


async def store_expired_tail(server: Server) -> None:
    """Stores a record at offset 0, and another key's life from 1 to 4, of which compaction leaves nothing."""
    await server.topic(cleanup_policy="compact", delete_retention_ms="0", min_cleanable_dirty_ratio="0")
    await server.store(build_batch([(NOW_MS, b"kept", b"a", ())]))
    await server.store(keyed(b"1"), keyed(b"2"), keyed(b"3"), keyed(None))
    await compact(server)


class Gaps:
    """Logs in which nothing is stored between some offsets: not even an empty batch, as in a log of another make."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._gaps: list[tuple[int, int]] = []
        self.asked = 0
        real = Log.read

        def read(log: Log, offset: int, max_bytes: int, committed_only: bool = False) -> Any:
            for start, end in self._gaps:
                if log.name == "t-0" and start <= offset < end <= log.committed_offset:
                    self.asked += 1
                    return Slice(b"", end)
            # A batch at a time, or a gap would be run over.
            return real(log, offset, 1 if log.name == "t-0" else max_bytes, committed_only)

        monkeypatch.setattr(Log, "read", read)

    def add(self, start: int, end: int) -> None:
        """Nothing is stored from an offset (inclusive) to another one (exclusive)."""
        self._gaps.append((start, end))


async def test_plain_records_end_with_where_a_compacted_tail_ends(server: Server) -> None:
    await store_expired_tail(server)
    subscriber = Subscriber(server)
    await subscriber.options(format=RECORDS)
    await subscriber.credit(PLENTY)
    generation = await subscriber.assign(("t", 0, BEGIN))
    assert (await subscriber.entry()).next_offset == 0
    data = await subscriber.entry()
    assert [record.value for record in data.records] == [b"a"]
    if data.next_offset < 5:
        data = await subscriber.entry()
        assert moved_on(data)
    assert (data.next_offset, data.high_watermark, data.generation) == (5, 5, generation)
    # What comes behind it comes once.
    await server.store(keyed(b"new"))
    data = await subscriber.entry()
    assert ([record.offset for record in data.records], data.next_offset) == ([5], 6)


async def test_plain_records_that_begin_in_a_compacted_tail(server: Server) -> None:
    await store_expired_tail(server)
    subscriber = Subscriber(server)
    await subscriber.options(format=RECORDS)
    await subscriber.credit(PLENTY)
    generation = await subscriber.assign(("t", 0, at(offset=2)))
    answer, data = await subscriber.entry(), await subscriber.entry()
    assert moved_on(answer) and answer.next_offset == 2
    assert moved_on(data) and (data.next_offset, data.high_watermark, data.generation) == (5, 5, generation)


async def test_plain_records_pass_over_control_batches(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    marker = build_batch([(NOW_MS, b"\0\0\0\1", b"\0\0\0\0\0\0", ())], producer_id=1, producer_epoch=0, is_control=True)
    log: Any = server.partition().log
    log.append_trusted(marker, 0, NOW_MS)
    subscriber = Subscriber(server)
    await subscriber.options(format=RECORDS)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, at(offset=1)))
    assert (await subscriber.entry()).next_offset == 1
    data = await subscriber.entry()
    assert moved_on(data) and data.next_offset == 2


async def test_batches_tell_of_a_compacted_tail_themselves(server: Server) -> None:
    await store_expired_tail(server)
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, BEGIN))
    await subscriber.entry()
    data = await subscriber.entry()
    assert values_of(data.batches) == [b"a"] and data.next_offset == 5
    assert [header.record_count for _, header in split(data.batches)] == [1, 0]


@pytest.mark.parametrize("plain", [False, True])
async def test_where_nothing_is_stored_reading_moves_on_and_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    await server.topic()
    await server.store(*(batch(str(number)) for number in range(6)))
    gaps = Gaps(monkeypatch)
    gaps.add(0, 2)
    gaps.add(4, 6)
    subscriber = Subscriber(server)
    await subscriber.options(format=RECORDS if plain else 0)
    await subscriber.credit(PLENTY)
    generation = await subscriber.assign(("t", 0, BEGIN))
    assert (await subscriber.entry()).next_offset == 0
    found = []
    offset = 0
    while offset < 6:
        data = await subscriber.entry()
        assert data.generation == generation and data.high_watermark == 6
        assert data.next_offset > offset
        if moved_on(data):
            assert (offset, data.next_offset) in ((0, 2), (4, 6))
        found += [record.value for record in (data.records if plain else records_of(data.batches))]
        offset = data.next_offset
    assert found == [b"2", b"3"]
    # It is said once, and costs nothing while nothing happens.
    asked = gaps.asked
    await server.store(batch("more"))
    assert await subscriber.values(1) == [b"more"]
    assert gaps.asked == asked and not subscriber.seen


async def test_moving_on_takes_no_credit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.topic()
    payload = batch("x")
    await server.store(payload, payload, payload)
    gaps = Gaps(monkeypatch)
    gaps.add(0, 1)
    gaps.add(2, 3)
    subscriber = Subscriber(server)
    await subscriber.assign(("t", 0, BEGIN))
    await subscriber.entry()
    await subscriber.credit(len(payload) + 1)
    assert (await subscriber.entry()).next_offset == 1
    assert (await subscriber.entry()).next_offset == 2
    assert (await subscriber.entry()).next_offset == 3


# The bundled client


async def read_range(server: Server, start: int, end: int | None = None) -> list[tuple[int, bytes | None]]:
    found = replay(server.address, "t", start, end, partition=0)
    async with asyncio.timeout(20), found as records:
        return [(record.offset, record.value) async for record in records]


async def test_a_replay_ends_behind_a_compacted_tail(server: Server) -> None:
    await store_expired_tail(server)
    assert await read_range(server, 0) == [(0, b"a")]
    assert await read_range(server, 2) == []
    assert await read_range(server, 0, 3) == [(0, b"a")]


@pytest.mark.parametrize(("start", "end"), [(0, None), (2, None), (4, None), (5, None), (0, 5), (0, 4), (1, 2), (3, 5)])
async def test_a_replay_ends_where_nothing_is_stored(
    server: Server, monkeypatch: pytest.MonkeyPatch, start: int, end: int | None
) -> None:
    await server.topic()
    await server.store(*(batch(str(number)) for number in range(6)))
    gaps = Gaps(monkeypatch)
    gaps.add(0, 2)
    gaps.add(4, 6)
    expected = [(n, b"%d" % n) for n in (2, 3) if start <= n < (6 if end is None else end)]
    assert await read_range(server, start, end) == expected
