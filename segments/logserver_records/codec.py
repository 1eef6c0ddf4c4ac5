"""Records in and out of record batches (magic 2), by aiokafka's compiled codec. The only module that knows it.

How its reader is made safe for bytes from anywhere (read in its source, 0.12 to 0.14):

- It checks key, value and header bytes against the end, but reads a length itself without looking, up to a few bytes
  past the end. It only ever sees a copy with `_PADDING` behind it, whose zero bytes end every such number; what was
  read beyond the end is then noticed by its own checks.
- It inflates without a limit. It only ever sees uncompressed batches; `compression` does the rest.
- Lengths near 2^63 overflow its check and end as MemoryError or OverflowError, after no allocation.
- It reads a record's attributes, one byte that is always 0, as a number of variable length. Where the byte is 128 or
  more, which no client writes, it may take the fields that follow for others; never bytes outside of the batch.

What it makes is bounded by what it reads: a record takes 7 bytes at least, and an object of some 200 bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import index, lt
from typing import Any, Final, NamedTuple, TypeVar

from logserver_records.batch import (
    COMPRESSION_MASK,
    CONTROL_MASK,
    DELETE_HORIZON_MASK,
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    MAGIC,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    TRANSACTIONAL_MASK,
    BatchHeader,
    Buffer,
    check_crc,
    next_batch,
    reheader,
    split,
    write_header,
)
from logserver_records.compression import Compression, check_level, compress, decompress_pieces
from logserver_records.errors import CorruptBatch
from logserver_records.fault import SlowRecord, read_slowly

try:
    from aiokafka.errors import CorruptRecordException
    from aiokafka.record._crecords import DefaultRecordBatch, DefaultRecordBatchBuilder
except ImportError as error:
    raise ImportError(
        "logserver_records needs the compiled record codec of aiokafka (aiokafka.record._crecords), which this "
        "installation of aiokafka lacks: install one of its wheels, or build it with a C compiler"
    ) from error

Headers = Sequence[tuple[str, bytes | None]]
"""Headers of a record: key and value, in order; a key may come more than once."""

NO_LEADER_EPOCH: Final = -1

_MAX_INT64: Final = 0x7FFF_FFFF_FFFF_FFFF
# One less than what 64 bits hold, so that the distance from -1 fits as well.
_MAX_TIMESTAMP_MS: Final = _MAX_INT64 - 1
_MAX_BATCH_BYTES: Final = 0x7FFF_FFFF
NO_HEADERS: Final[list[tuple[str, bytes | None]]] = []
"""For `BatchBuilder.encode`: it takes a list and nothing else."""
_PADDING: Final = bytes(16)
_ROWS_MOST: Final = 500
"""Below the 700 new objects at which Python's garbage collector starts."""
_ATTRIBUTES: Final = slice(21, 23)
_UNREADABLE: Final = (CorruptRecordException, UnicodeDecodeError, OverflowError, MemoryError)

T = TypeVar("T")


class Record(NamedTuple):
    """One record as it stands in a log."""

    offset: int
    timestamp_ms: int
    """Milliseconds since the epoch; -1 where the producer gave none."""
    key: bytes | None
    value: bytes | None
    headers: Headers


KeyOfRecord = tuple[int, bytes | None, bool]
"""Of a record: offset, key, and whether it has no value (is a tombstone)."""

NewRecord = tuple[int, bytes | None, bytes | None, Headers]
"""A record to be built into a batch: timestamp in milliseconds, key, value, headers."""


def _new_encoder(batch_size_bytes: int) -> tuple[Any, bytearray]:
    """Returns an encoder and the buffer that it writes into: room for the header, then the records.

    Its own `build` would take the CRC of the batch in software, 0.6 us for each KiB, three times what all else costs.
    So the buffer is taken from the empty encoder, and header and CRC are written by us.
    """
    encoder = DefaultRecordBatchBuilder(MAGIC, 0, 0, NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE, batch_size_bytes)
    return encoder, encoder.build()


def _check_encoder() -> None:
    encoder, buffer = _new_encoder(1)
    encoder.append(0, 0, None, b"", [])
    if not isinstance(buffer, bytearray) or len(buffer) != encoder.size():
        raise ImportError("this version of aiokafka doesn't share its encoder's buffer; use one of 0.12 to 0.14")


_check_encoder()


class BatchBuilder:
    """Collects records for one batch, offsets 0 and up. Not safe for threads.

    Args:
        batch_size_bytes: how large the batch may get (inclusive, header included, before compression). A first
            record is taken whatever its size.
        compression: codec of the batch.
        level: level of compression; None for the codec's default.

    Raises:
        ValueError: the codec doesn't have this level.
    """

    __slots__ = (
        "_buffer",
        "_compression",
        "_level",
        "base_timestamp_ms",
        "encode",
        "max_timestamp_ms",
        "record_count",
    )

    def __init__(
        self, batch_size_bytes: int, compression: Compression = Compression.NONE, level: int | None = None
    ) -> None:
        check_level(compression, level)
        # The encoder takes its size as exclusive.
        encoder, self._buffer = _new_encoder(min(batch_size_bytes, _MAX_BATCH_BYTES) + 1)
        self.encode: Callable[[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]], Any] = (
            encoder.append
        )
        """The encoder itself, for a caller to whom the checks of `append` are too much, from the second record on.

        It takes `record_count`, the timestamp less `base_timestamp_ms`, key, value and headers as `plain_headers` makes
        them, and returns None if the batch is full. The caller then keeps `record_count` and `max_timestamp_ms`.
        """
        self._compression = compression
        self._level = level
        self.base_timestamp_ms = NO_TIMESTAMP
        """Of the first record."""
        self.max_timestamp_ms = NO_TIMESTAMP
        self.record_count = 0
        """Records taken so far."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the batch so far, header included, before compression."""
        return len(self._buffer)

    def append(self, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> bool:
        """Adds a record unless the batch is full; the cost of this call is the cost of producing.

        Args:
            timestamp_ms: milliseconds since the epoch, in any order; -1 for none.
            key, value: bytes, or None for null.
            headers: pairs of text and bytes, or None for a null value.

        Returns:
            False if the batch has no room for it; a smaller record may still fit.

        Raises:
            ValueError: a timestamp below -1 or above 2^63 - 2, or a header key that UTF-8 can't say.
            TypeError: another type than those above. The batch is as before, after either error.
        """
        if timestamp_ms.__class__ is not int or not NO_TIMESTAMP <= timestamp_ms <= _MAX_TIMESTAMP_MS:
            timestamp_ms = checked_timestamp(timestamp_ms)
        count = self.record_count
        if not count:
            self.base_timestamp_ms = timestamp_ms
        # The encoder gets timestamps from 0 on, not as they are: a first one of -1 would mean "none yet" to it.
        delta_ms = timestamp_ms - self.base_timestamp_ms
        if self.encode(count, delta_ms, key, value, plain_headers(headers) if headers else NO_HEADERS) is None:
            return False
        self.record_count = count + 1
        if timestamp_ms > self.max_timestamp_ms:
            self.max_timestamp_ms = timestamp_ms
        return True

    def extend(
        self,
        timestamp_ms: int,
        keys: Sequence[bytes | None] | None,
        values: Sequence[bytes | None],
        start: int = 0,
        headers: Headers = (),
    ) -> int:
        """Adds records until the batch is full: as `append` for each, at a third of its cost.

        Args:
            timestamp_ms: of all these records.
            keys: as many as values; None for records without a key.
            values: those from `start` on.
            headers: of each of these records.

        Returns:
            How many were taken.

        Raises:
            ValueError, TypeError: as `append`; `record_count` says how many were taken before.
        """
        if start >= len(values):
            return 0
        first = self.record_count
        if not first and not self.append(timestamp_ms, None if keys is None else keys[start], values[start], headers):
            return 0
        count = self.record_count
        place = start + count - first
        delta_ms = checked_timestamp(timestamp_ms) - self.base_timestamp_ms
        plain = plain_headers(headers) if headers else NO_HEADERS
        encode = self.encode
        try:
            if keys is None:
                for value in islice(values, place, None):
                    if encode(count, delta_ms, None, value, plain) is None:
                        break
                    count += 1
            else:
                for key, value in zip(islice(keys, place, None), islice(values, place, None), strict=True):
                    if encode(count, delta_ms, key, value, plain) is None:
                        break
                    count += 1
        finally:
            if count > self.record_count:
                self.record_count = count
                self.max_timestamp_ms = max(self.max_timestamp_ms, timestamp_ms)
        return count - first

    def build(
        self,
        *,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        is_transactional: bool = False,
        is_control: bool = False,
        base_offset: int = 0,
        leader_epoch: int = NO_LEADER_EPOCH,
    ) -> bytes:
        """Returns the batch of the records so far. More may be added after it, and it may be built again.

        Raises:
            ValueError: there are no records, or more than a batch's length can say (2 GiB).
        """
        attributes = 0
        if is_transactional:
            attributes |= TRANSACTIONAL_MASK
        if is_control:
            attributes |= CONTROL_MASK
        header = self._header(attributes, producer_id, producer_epoch, base_sequence)
        header = header._replace(base_offset=base_offset, leader_epoch=leader_epoch)
        return _finish(header, self._buffer, HEADER_SIZE, self._compression, self._level)

    def take(
        self, producer_id: int, producer_epoch: int, base_sequence: int, *, is_transactional: bool = False
    ) -> bytes | bytearray:
        """Returns the batch as `build` does, without a copy where there is no compression.

        The builder is of no use after it: what is returned is the buffer that it has written into.

        Raises:
            ValueError: as `build`.
        """
        attributes = TRANSACTIONAL_MASK if is_transactional else 0
        header = self._header(attributes, producer_id, producer_epoch, base_sequence)
        if self._compression:
            return _finish(header, self._buffer, HEADER_SIZE, self._compression, self._level)
        if len(self._buffer) > _MAX_BATCH_BYTES:
            raise _too_many(len(self._buffer) - HEADER_SIZE)
        write_header(header, self._buffer)
        return self._buffer

    def _header(self, attributes: int, producer_id: int, producer_epoch: int, base_sequence: int) -> BatchHeader:
        count = self.record_count
        if not count:
            raise ValueError("a record batch needs at least one record")
        return BatchHeader(
            0,
            0,
            NO_LEADER_EPOCH,
            MAGIC,
            0,
            attributes | self._compression,
            count - 1,
            self.base_timestamp_ms,
            self.max_timestamp_ms,
            producer_id,
            producer_epoch,
            base_sequence,
            count,
        )


def checked_timestamp(timestamp_ms: int) -> int:
    """Returns a timestamp, -1 for none, as an int.

    Raises:
        ValueError: it is below -1 or above 2^63 - 2.
        TypeError: it is no integer.
    """
    timestamp_ms = index(timestamp_ms)
    if not NO_TIMESTAMP <= timestamp_ms <= _MAX_TIMESTAMP_MS:
        raise ValueError(f"timestamp {timestamp_ms} is not from {NO_TIMESTAMP} to {_MAX_TIMESTAMP_MS}")
    return timestamp_ms


def plain_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Returns headers in the very types that the encoder takes; it checks the values itself."""
    plain = []
    for name, data in headers:
        if not isinstance(name, str):
            raise TypeError(f"a header key must be str, not {type(name).__name__}")
        plain.append((str(name), data))
    return plain


def _finish(header: BatchHeader, buffer: bytearray, start: int, compression: Compression, level: int | None) -> bytes:
    """Returns the batch of a header over the records that an encoder's buffer holds from start on."""
    # The views must be closed again, also after an error: the encoder can't grow a buffer that is being looked at.
    with memoryview(buffer) as whole, whole[start:] as records:
        body = compress(compression, records, level) if compression else records
        if len(body) > _MAX_BATCH_BYTES - HEADER_SIZE:
            raise _too_many(len(body))
        return reheader(header, body)


def _too_many(size_bytes: int) -> ValueError:
    return ValueError(f"{size_bytes} bytes of records are more than a record batch can hold")


def build_batch(
    records: Iterable[NewRecord],
    *,
    compression: Compression = Compression.NONE,
    level: int | None = None,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    is_transactional: bool = False,
    is_control: bool = False,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
) -> bytes:
    """Returns one batch of all the records: (timestamp in milliseconds, key, value, headers) each.

    Raises:
        ValueError, TypeError: as `BatchBuilder`, its `append` and its `build`.
    """
    builder = BatchBuilder(_MAX_BATCH_BYTES, compression, level)
    for timestamp_ms, key, value, headers in records:
        if not builder.append(timestamp_ms, key, value, headers):
            raise ValueError(f"the records are more than one record batch can hold ({_MAX_BATCH_BYTES} bytes)")
    return builder.build(
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        is_transactional=is_transactional,
        is_control=is_control,
        base_offset=base_offset,
        leader_epoch=leader_epoch,
    )


def rebuild_batch(header: BatchHeader, records: Iterable[Record], delete_horizon_ms: int | None = None) -> bytes:
    """Returns a batch with only these of its records, as log compaction leaves it (Kafka: `MemoryRecords.filterTo`).

    Base and last offset, producer fields and attributes stay, and so do the records' timestamps. The max timestamp is
    that of the records kept, which with LogAppendTime is what it was. With no records at all it is a header alone,
    without compression, delete horizon and base timestamp.

    Args:
        header: the header of the batch that the records were decoded from.
        records: some of these records, in order.
        delete_horizon_ms: from when on its tombstones may go; it takes the place of the base timestamp (KIP-534).
            None leaves both as they are.
    """
    encoder, buffer = _new_encoder(_MAX_INT64)
    # The encoder counts timestamps from those of its first record: one at 0, cut off below, lets us choose.
    encoder.append(0, 0, None, None, [])
    start = len(buffer)
    count = 0
    max_timestamp_ms = NO_TIMESTAMP
    base_timestamp_ms = header.base_timestamp if delete_horizon_ms is None else delete_horizon_ms
    for record in records:
        encoder.append(
            record.offset - header.base_offset,
            _wrapped(record.timestamp_ms - base_timestamp_ms),
            record.key,
            record.value,
            list(record.headers),
        )
        max_timestamp_ms = max(max_timestamp_ms, record.timestamp_ms)
        count += 1
    attributes = header.attributes
    if delete_horizon_ms is not None:
        attributes |= DELETE_HORIZON_MASK
    if not count:
        attributes &= ~(COMPRESSION_MASK | DELETE_HORIZON_MASK)
        base_timestamp_ms, max_timestamp_ms = NO_TIMESTAMP, header.max_timestamp
    kept = header._replace(
        attributes=attributes, base_timestamp=base_timestamp_ms, max_timestamp=max_timestamp_ms, record_count=count
    )
    return _finish(kept, buffer, start, Compression.of(kept.compression), None)


def _wrapped(delta: int) -> int:
    """Returns a difference of 64 bit numbers as 64 bits hold it; adding it again, as readers do, undoes that."""
    return (delta + (1 << 63)) % (1 << 64) - (1 << 63)


def iter_batches(buffer: Buffer) -> Iterator[tuple[int, BatchHeader]]:
    """Yields (position, header) of each batch of a payload; the same as `batch.split`."""
    return split(buffer)


def decode_batch(
    buffer: Buffer, position: int = 0, *, max_decompressed_bytes: int, verify_crc: bool = False
) -> list[Record]:
    """Returns the records of the batch that starts at a position, in the order of their offsets.

    Every record of a batch with LogAppendTime carries the batch's max timestamp. The records of a control batch are
    returned as any others (see `BatchHeader.is_control` and the module `control`). A batch that compaction has emptied
    gives an empty list. Nothing that is returned refers to the buffer.

    Args:
        buffer: holds a whole batch at the position, and any bytes around it.
        position: of the batch's first byte.
        max_decompressed_bytes: how much may come out of a compressed batch (inclusive).
        verify_crc: check the CRC first. Without that, damaged bytes are an error or other records, never a crash.

    Raises:
        CorruptBatch: the batch is cut short, or its count, lengths and offsets don't agree with its bytes; the message
            names the record and the field.
        UnsupportedBatch: another magic than 2, or an unknown compression codec.
        DecompressionLimitExceeded: more would come out; the message names the limit.
    """
    return _records(*_plain(buffer, position, max_decompressed_bytes, verify_crc))


def decode_keys(buffer: Buffer, position: int = 0, *, max_decompressed_bytes: int) -> list[KeyOfRecord]:
    """Returns what compaction has to know of the records that `decode_batch` returns, at a third of the cost.

    Raises:
        CorruptBatch, UnsupportedBatch, DecompressionLimitExceeded: as `decode_batch`.
    """
    header, plain = _plain(buffer, position, max_decompressed_bytes, False)
    try:
        found = [(record.offset, record.key, record.value is None) for record in _iterate(plain)]
    except _UNREADABLE as error:
        found = [(record.offset, record.key, record.value is None) for record in _read_again(header, plain, error)]
    _check_offsets(header, [offset for offset, _, _ in found])
    return found


def decode_rows(
    buffer: Buffer,
    position: int,
    row: type[T],
    topic: object,
    partition: int,
    *,
    max_decompressed_bytes: int,
    verify_crc: bool = False,
) -> Iterator[list[T]]:
    """Yields the records that `decode_batch` returns, some hundreds at a time, as a tuple type of the caller's own.

    Made in one step: a `Record` first and another tuple from it took 0.3 us more, of 0.9 for a record of 1 KiB. And
    some at a time: a thousand tuples alive at once have Python's garbage collector look at each of them, several times,
    and leave the processor's cache; that took a third of the time for records of 100 bytes.

    Args:
        row: a subclass of tuple of (topic, partition, offset, timestamp in milliseconds, key, value, headers).
        topic: or whatever is to stand in its place.

    Raises:
        CorruptBatch, UnsupportedBatch, DecompressionLimitExceeded: as `decode_batch`, but where records are damaged,
            those some hundreds before them may have come already.
    """
    header, plain = _plain(buffer, position, max_decompressed_bytes, verify_crc)
    new: Any = tuple.__new__
    count, taken = header.record_count, 0
    # Where compaction took records, their offsets are not known beforehand.
    if count == header.last_offset_delta + 1:
        # The codec comes first in `zip`: so it is asked once more at the end, and notices bytes that are left.
        numbered = zip(_iterate(plain), range(header.base_offset, header.base_offset + count), strict=False)
        rows: list[Any]
        while taken < count:
            most = min(_ROWS_MOST, count - taken)
            try:
                rows = [
                    new(
                        row,
                        (topic, partition, offset, record.timestamp, record.key, record.value, record.headers or ()),
                    )
                    for record, offset in islice(numbered, most)
                    if record.offset == offset
                ]
                if taken + most == count:
                    next(numbered, None)
            except _UNREADABLE:
                break
            if len(rows) != most:
                break
            taken += most
            yield rows
    if taken < count:
        # What is unusual here is an error there, or a rare case.
        left = _records(header, plain)[taken:]
        for start in range(0, len(left), _ROWS_MOST):
            yield [new(row, (topic, partition, *record)) for record in left[start : start + _ROWS_MOST]]


def _records(header: BatchHeader, plain: bytes) -> list[Record]:
    new = tuple.__new__
    try:
        records = [
            new(Record, (record.offset, record.timestamp, record.key, record.value, record.headers or ()))
            for record in _iterate(plain)
        ]
    except _UNREADABLE as error:
        records = _read_again(header, plain, error)
    _check_offsets(header, [record[0] for record in records])
    return records


def _plain(buffer: Buffer, position: int, max_decompressed_bytes: int, verify_crc: bool) -> tuple[BatchHeader, bytes]:
    """Returns the header of a batch, and a copy of the whole batch, uncompressed, with padding behind it."""
    header = next_batch(buffer, position)
    if verify_crc:
        check_crc(buffer, position, header)
    size = header.batch_length + LENGTH_OVERHEAD
    if not header.record_count and size == HEADER_SIZE:
        return header, b""
    compression = Compression.of(header.compression)
    with memoryview(buffer) as whole, whole[position : position + size] as batch:
        if not compression:
            return header, b"".join((batch, _PADDING))
        with batch[HEADER_SIZE:] as packed:
            pieces = decompress_pieces(compression, packed, max_bytes=max_decompressed_bytes)
        head = bytearray(batch[:HEADER_SIZE])
        head[_ATTRIBUTES] = (header.attributes & ~COMPRESSION_MASK).to_bytes(2, "big", signed=True)
        return header, b"".join((head, *pieces, _PADDING))


def _iterate(plain: bytes) -> Iterator[Any]:
    if not plain:
        return iter(())
    return iter(DefaultRecordBatch(memoryview(plain)[: len(plain) - len(_PADDING)]))


def _read_again(header: BatchHeader, plain: bytes, error: Exception) -> list[Record]:
    """Returns the records that the codec could not read, or raises saying what is wrong with them."""
    # The codec knows neither the record nor the field; this is the rare path, so they are looked for again.
    records = memoryview(plain)[HEADER_SIZE : len(plain) - len(_PADDING)]
    found = read_slowly(records, header.record_count, header.base_offset)
    if isinstance(found, str):
        raise CorruptBatch(f"corrupt record batch: {found}") from error
    if isinstance(error, UnicodeDecodeError):
        return [_from_slow(header, record) for record in found]
    if isinstance(error, MemoryError):
        raise error
    raise CorruptBatch(f"corrupt record batch: {error}") from error


def _from_slow(header: BatchHeader, record: SlowRecord) -> Record:
    timestamp_ms = header.max_timestamp
    if not header.is_log_append_time:
        timestamp_ms = _wrapped(header.base_timestamp + record.timestamp_delta)
    offset = _wrapped(header.base_offset + record.offset_delta)
    return Record(offset, timestamp_ms, record.key, record.value, record.headers)


def _check_offsets(header: BatchHeader, offsets: list[int]) -> None:
    """Checks that offsets grow and stay inside of the header's range; all are there unless compaction took some."""
    base = header.base_offset
    # There are no more of them than the header has offsets: `next_batch` has seen to that.
    if offsets == list(range(base, base + len(offsets))):
        return
    if not all(map(lt, offsets, offsets[1:])):
        raise CorruptBatch(f"record batch at offset {base} whose records' offsets don't grow")
    if offsets and (offsets[0] < base or offsets[-1] > header.last_offset):
        raise CorruptBatch(
            f"record batch of offsets {base} to {header.last_offset} "
            f"whose records have offsets {offsets[0]} to {offsets[-1]}"
        )
