"""From the bytes of record batches to the records that a user gets."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, Final

from logserver_records.batch import BatchHeader, Buffer, next_batch
from logserver_records.codec import decode_rows
from logserver_records.errors import CorruptBatch, DecompressionLimitExceeded, RecordError

from logserver_client._consume.config import ConsumerConfig
from logserver_client.errors import UNKNOWN, CorruptMessage, LogServerError, serialization_error
from logserver_client.types import Record, TopicPartition

_OFFSET_OF: Final = itemgetter(2)
_KEY: Final = itemgetter(4)
_VALUE: Final = itemgetter(5)
_new = tuple.__new__


class Decoder:
    """Decodes the batches of one answer, some records at a time.

    Args:
        position: records below this offset are left out: the first batch may begin before it.
        end_offset: records from this offset on are left out; None for no end.
        next_offset: the offset behind the last batch.
    """

    __slots__ = (
        "_batches",
        "_config",
        "_counts_bytes",
        "_end_offset",
        "_header",
        "_left",
        "_next_offset",
        "_place",
        "_rows",
        "payload_bytes",
        "position",
        "tp",
    )

    def __init__(
        self,
        config: ConsumerConfig,
        tp: TopicPartition,
        batches: Buffer,
        position: int,
        end_offset: int | None,
        next_offset: int,
        counts_bytes: bool = False,
    ) -> None:
        self.tp = tp
        self.position = position
        """The offset behind what was decoded so far."""
        self._config = config
        self._batches = batches
        self._place = 0
        self._end_offset = end_offset
        self._next_offset = next_offset
        self._counts_bytes = counts_bytes
        self._header: BatchHeader | None = None
        """Of the batch that is under way."""
        self._left = 0
        """How many of its records are still to come."""
        self._rows: Iterator[list[Record[Any, Any]]] = iter(())
        self.payload_bytes = 0
        """Bytes of keys and values of what was decoded last, if they are to be counted."""

    @property
    def is_done(self) -> bool:
        return self._place >= len(self._batches)

    def decode(self, least: int) -> tuple[list[Record[Any, Any]], LogServerError | None]:
        """Returns the records of the next batches, at least so many of them if they are there.

        An error, which is that of the batch or record at `position`, comes with the good records before it.
        """
        records: list[Record[Any, Any]] = []
        while len(records) < least and self._place < len(self._batches):
            try:
                header = self._header or self._open_batch()
                more = next(self._rows, None)
            except RecordError as error:
                return records, self._corrupt(error)
            if more is not None:
                self._left -= len(more)
                records += self._within(more)
            if more is None or self._left <= 0:
                self._header = None
                self._place += header.size
                self.position = self._next_offset if self.is_done else max(self.position, header.next_offset)
        if self._counts_bytes:
            self.payload_bytes = sum(_sizes(records, _KEY)) + sum(_sizes(records, _VALUE))
        return self._deserialized(records)

    def _open_batch(self) -> BatchHeader:
        """Begins with the next batch."""
        config = self._config
        header = next_batch(self._batches, self._place)
        self._left = header.record_count
        self._rows = iter(())
        if not header.is_control:
            self._rows = decode_rows(
                self._batches,
                self._place,
                Record,
                self.tp.topic,
                self.tp.partition,
                max_decompressed_bytes=config.max_decompressed_bytes,
                verify_crc=config.check_crcs,
            )
        self._header = header
        return header

    def _within(self, records: list[Record[Any, Any]]) -> list[Record[Any, Any]]:
        """Returns those of the next records that are wanted, and moves the position behind all of them."""
        first, last = records[0].offset, records[-1].offset
        if first < self.position:
            del records[: bisect_left(records, self.position, key=_OFFSET_OF)]
        if self._end_offset is not None and last >= self._end_offset:
            del records[bisect_left(records, self._end_offset, key=_OFFSET_OF) :]
        self.position = max(self.position, last + 1)
        return records

    def _deserialized(self, records: list[Record[Any, Any]]) -> tuple[list[Record[Any, Any]], LogServerError | None]:
        key, value = self._config.key_deserializer, self._config.value_deserializer
        if key is None and value is None:
            return records, None
        done: list[Record[Any, Any]] = []
        try:
            done.extend(_deserialize(records, key, value))
        except Exception as error:
            bad = records[len(done)]
            failure = serialization_error(f"{self.tp} offset {bad.offset} can't be deserialised: {error!r}")
            failure.topic, failure.partition, failure.offset = bad.topic, bad.partition, bad.offset
            failure.__cause__ = error
            self.position = bad.offset
            return done, failure
        return done, None

    def _corrupt(self, error: RecordError) -> LogServerError:
        if isinstance(error, DecompressionLimitExceeded):
            message = f"{self.tp} at offset {self.position}: {error}; the consumer's setting is max_decompressed_bytes"
        else:
            message = f"{self.tp} at offset {self.position}: {error}"
        if isinstance(error, CorruptBatch | DecompressionLimitExceeded):
            return CorruptMessage(2, "CORRUPT_MESSAGE", message)
        return LogServerError(UNKNOWN, "UNSUPPORTED_BATCH", message)


def _deserialize(
    records: Iterable[Record[Any, Any]],
    key_deserializer: Callable[[bytes], Any] | None,
    value_deserializer: Callable[[bytes], Any] | None,
) -> Iterable[Record[Any, Any]]:
    for topic, partition, offset, timestamp_ms, key, value, headers in records:
        yield _new(
            Record,
            (
                topic,
                partition,
                offset,
                timestamp_ms,
                key if key is None or key_deserializer is None else key_deserializer(key),
                value if value is None or value_deserializer is None else value_deserializer(value),
                headers,
            ),
        )


def _sizes(records: Iterable[Record[Any, Any]], field: Callable[[Any], bytes | None]) -> Iterable[int]:
    return map(len, filter(None, map(field, records)))
