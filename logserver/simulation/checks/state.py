"""All that a server holds, read past its doors."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import decode_batch
from logserver_records.control import parse_marker
from logserver_records.errors import RecordError

from logserver.broker.isolation import IsolationLevel
from logserver.broker.partition import Partition
from logserver.errors import LogServerError
from logserver.simulation.clients.writer import name_of
from logserver.simulation.ledger import Place, Violation
from logserver.simulation.node import SimulatedDaemon

_MOST_BYTES: Final = 1 << 24
_READ_BYTES: Final = 1 << 20


class Stored(NamedTuple):
    """A record in a log."""

    value: str
    key: str | None
    is_tombstone: bool
    producer_id: int
    is_transactional: bool


@dataclass
class PartitionState:
    """A partition, as its log has it."""

    place: Place
    start: int
    end: int
    last_stable: int
    records: dict[int, Stored] = field(default_factory=dict)
    """By offset, without markers."""
    decided: dict[int, bool] = field(default_factory=dict)
    """How the transaction of a record ended, by offset; open ones are missing. Worked out from the markers alone."""
    first_open: int | None = None
    """Offset at which the first open transaction begins."""
    committed: dict[int, str] = field(default_factory=dict)
    """What the server shows to readers of committed records."""

    def is_committed(self, offset: int) -> bool:
        """Returns whether readers of committed records have to see a record."""
        return not self.records[offset].is_transactional or self.decided.get(offset) is True


@dataclass
class State:
    """A server's data."""

    partitions: dict[Place, PartitionState] = field(default_factory=dict)
    offsets: dict[tuple[str, Place], int] = field(default_factory=dict)
    topics: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Their settings."""


async def read_state(daemon: SimulatedDaemon, groups: Iterable[str], *, is_settled: bool = True) -> State:
    """Reads everything that a server holds.

    Args:
        groups: whose offsets are asked for.
        is_settled: whether to wait until the transactions are ended whose end is decided.

    Raises:
        Violation: something can't be read.
    """
    state = State()
    if is_settled:
        try:
            await _settle(daemon)
        except LogServerError as error:
            raise Violation("coordinator unavailable", error.message) from error
    for topic in daemon.broker.topics():
        state.topics[topic.name] = dict(topic.record.settings)
        for partition in topic.partitions:
            place = (partition.topic, partition.number)
            if partition.unavailable is not None:
                raise Violation("partition unavailable", f"{place}: {partition.unavailable.message}", place)
            state.partitions[place] = await _read_partition(partition)
    for group in groups:
        try:
            found = await daemon.groups.committed(group)
        except LogServerError as error:
            raise Violation("group unavailable", f"{group}: {error.message}", group) from error
        for place, value in found.items():
            state.offsets[group, place] = value.offset
    return state


async def _settle(daemon: SimulatedDaemon) -> None:
    await daemon.groups.loaded()
    await daemon.transactions.loaded()
    for _ in range(600):
        found = await daemon.transactions.list(("PrepareCommit", "PrepareAbort"))
        if not found.transactions:
            return
        await asyncio.sleep(0.05)
    raise Violation("hanging transaction", "decided transactions are not ended within 30 s", "transactions")


async def _read_partition(partition: Partition) -> PartitionState:
    """Reads a partition twice: what it has, and what it shows of that. Coordinators end transactions that time out, and
    delete what they do not need any more, also meanwhile; then it is read anew."""
    while True:
        ends = _ends(partition)
        try:
            state = await _read_as_it_is(partition)
        except (LogServerError, RecordError) as error:
            if ends != _ends(partition):
                continue
            place = (partition.topic, partition.number)
            raise Violation("unreadable record", f"{place}: {error}", place) from error
        if ends == _ends(partition):
            return state


def _ends(partition: Partition) -> tuple[int, int, int]:
    return partition.log_start_offset, partition.log_end_offset, partition.last_stable_offset


async def _read_as_it_is(partition: Partition) -> PartitionState:
    place = (partition.topic, partition.number)
    end, stable = partition.high_watermark, partition.last_stable_offset
    state = PartitionState(place, partition.log_start_offset, end, stable)
    internal = partition.topic.startswith("__")
    data = await read_whole(partition, IsolationLevel.READ_UNCOMMITTED)
    committed = await read_whole(partition, IsolationLevel.READ_COMMITTED)
    if not internal:
        _take(state, data)
        for position, header in whole_batches(committed):
            if not header.is_control:
                _take_committed(state, committed, position)
    return state


def _take_committed(state: PartitionState, data: Buffer, position: int) -> None:
    for record in decode_batch(data, position, max_decompressed_bytes=_MOST_BYTES, verify_crc=True):
        if record.offset >= state.start:
            state.committed[record.offset] = name_of(record)


async def read_whole(partition: Partition, isolation: IsolationLevel) -> bytes:
    """Reads a partition whole."""
    offset, parts = partition.log_start_offset, []
    while offset < isolation.end(partition):
        found = isolation.read(partition, offset, _READ_BYTES)
        part = found if isinstance(found, tuple) else await found
        if part.next_offset <= offset:
            raise Violation("unreadable record", f"reading {partition} stands still at {offset}", str(partition))
        parts.append(bytes(part.data))
        offset = part.next_offset
    return b"".join(parts)


def _take(state: PartitionState, data: Buffer) -> None:
    """Takes up all records, and by the markers how the transactions of each producer ended."""
    open_offsets: dict[int, list[int]] = {}
    last = -1
    for position, header in whole_batches(data):
        if header.base_offset <= last:
            raise Violation("disordered log", f"{state.place}: {header.base_offset} comes behind {last}", state.place)
        last = header.last_offset
        records = decode_batch(data, position, max_decompressed_bytes=_MOST_BYTES, verify_crc=True)
        if header.is_control:
            marker = parse_marker(records[0])
            if marker is not None:
                for offset in open_offsets.pop(header.producer_id, ()):
                    state.decided[offset] = marker.is_commit
            continue
        for record in records:
            key = record.key.decode() if record.key is not None else None
            if record.offset >= state.start:
                state.records[record.offset] = Stored(
                    name_of(record), key, record.value is None, header.producer_id, header.is_transactional
                )
            if header.is_transactional:
                open_offsets.setdefault(header.producer_id, []).append(record.offset)
    state.first_open = min((offsets[0] for offsets in open_offsets.values()), default=None)
