"""Reading a coordinator's partition into memory, record by record."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import Record, decode_batch
from logserver_records.control import parse_marker
from logserver_records.errors import RecordError
from logserver_segments.logs import get_logger
from logserver_segments.reading import Slice

from logserver.broker.partition import Partition
from logserver.coordinator.formats import FormatError, UnknownRecordType, UnknownRecordVersion
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

K = TypeVar("K")
V = TypeVar("V")

_READ_BYTES: Final = 256 * 1024
"""Read and taken in between two turns of the event loop: a few milliseconds' worth."""
_ENTRIES_AT_A_TIME: Final = 1_000
"""Applied between two turns."""
_MAX_DECOMPRESSED: Final = 64 << 20


class _Latest(NamedTuple):
    """The last record of a key."""

    value: bytes
    timestamp_ms: int
    offset: int


@dataclass(frozen=True, slots=True)
class Source(Generic[K, V]):
    """A partition to read, and who takes what it holds."""

    partition: Partition
    what: str
    """Is kept there, for messages."""
    decode: Callable[[bytes, bytes], tuple[K, V]]
    """Returns key and value of a record."""
    apply: Callable[[K, V, int], None]
    """Takes a key, a value and the time of the record."""
    apply_pending: Callable[[int, K, V, int], None] | None = None
    """Takes a producer id, a key, a value and the record's offset: of a transaction that has not ended; raises
    FormatError if that has no place in one."""

    def damaged(self, offset: int, error: Exception | str) -> LogServerError:
        """Returns the error for a record that can't be understood."""
        return LogServerError(
            ErrorCode.coordinator_not_available,
            f"the {self.what} kept in {self.partition} can't be read: the record at offset {offset} is damaged or of a "
            f"newer version ({error})",
        )


@dataclass(slots=True)
class _Found:
    """The last record of each key, in the order of the last records, because that is the one that makes sense."""

    records: int = 0
    latest: dict[bytes, _Latest] = field(default_factory=dict)
    # Of open transactions, by producer id.
    pending: dict[int, dict[bytes, _Latest]] = field(default_factory=dict)

    def take(self, key: bytes, record: Record) -> None:
        self.latest.pop(key, None)
        if record.value is not None:
            self.latest[key] = _Latest(record.value, record.timestamp_ms, record.offset)
        for pending in self.pending.values():
            pending.pop(key, None)

    def take_pending(self, producer_id: int, key: bytes, record: Record) -> None:
        if record.value is not None:
            latest = _Latest(record.value, record.timestamp_ms, record.offset)
            self.pending.setdefault(producer_id, {})[key] = latest

    def end(self, producer_id: int, is_commit: bool) -> None:
        pending = self.pending.pop(producer_id, {})
        if not is_commit:
            return
        for key, item in pending.items():
            known = self.latest.get(key)
            if known is None or known.offset < item.offset:
                self.latest.pop(key, None)
                self.latest[key] = item


async def replay(source: Source[K, V]) -> int:
    """Reads a partition from its start up to its high watermark; returns how many records it has.

    Only the last record of each key counts, as after a compaction that has got everything; the others are not even
    decoded. What stands in a transaction counts once that is committed.

    Raises:
        LogServerError: it can't be read; COORDINATOR_NOT_AVAILABLE if it holds something that this version can't
            understand.
    """
    partition = source.partition
    offset = partition.log_start_offset
    all_found = _Found()
    while offset < partition.high_watermark:
        read = partition.read(offset, _READ_BYTES)
        found = read if isinstance(read, Slice) else await read
        _take(source, found.data, all_found)
        if found.next_offset <= offset:
            raise source.damaged(offset, "there is no whole batch")
        offset = found.next_offset
        # The event loop has others to serve.
        await asyncio.sleep(0)
    for number, (key, item) in enumerate(all_found.latest.items(), 1):
        entry = _decoded(source, key, item)
        if entry is not None:
            source.apply(*entry, item.timestamp_ms)
        if number % _ENTRIES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    for producer_id, pending in all_found.pending.items():
        for key, item in pending.items():
            entry = _decoded(source, key, item)
            if entry is None or source.apply_pending is None:
                continue
            try:
                source.apply_pending(producer_id, *entry, item.offset)
            except FormatError as error:
                raise source.damaged(item.offset, error) from error
    return all_found.records


def _take(source: Source[K, V], data: Buffer, found: _Found) -> None:
    for position, header in whole_batches(data):
        try:
            records = decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED, verify_crc=True)
            if header.is_control:
                for record in records:
                    marker = parse_marker(record)
                    if marker is not None:
                        found.end(header.producer_id, marker.is_commit)
                continue
        except RecordError as error:
            raise source.damaged(header.base_offset, error) from error
        found.records += len(records)
        for record in records:
            key = record.key
            if key is None:
                raise source.damaged(record.offset, "it has no key")
            if header.is_transactional:
                found.take_pending(header.producer_id, key, record)
            else:
                found.take(key, record)


def _decoded(source: Source[K, V], key: bytes, item: _Latest) -> tuple[K, V] | None:
    """Returns what a record says; None if it is of a type that is not known here, which Kafka passes by, too."""
    try:
        return source.decode(key, item.value)
    except UnknownRecordVersion as error:
        raise source.damaged(item.offset, error) from error
    except UnknownRecordType as error:
        _log.warning("record passed by", partition=str(source.partition), offset=item.offset, reason=str(error))
        return None
    except FormatError as error:
        raise source.damaged(item.offset, error) from error
