"""A batch under construction or under way, shared by the futures of its records."""

import logging
from collections.abc import Callable
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

from logserver_records.batch import (
    HEADER_SIZE,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    read_header,
    reheader,
    write_header,
)
from logserver_records.codec import BatchBuilder, decode_batch
from logserver_records.compression import Compression

from logserver_client.errors import LogServerError
from logserver_client.types import RecordMetadata

if TYPE_CHECKING:
    from logserver_client._produce.accumulator import PartitionQueue

_log = logging.getLogger("logserver_client")

UNKNOWN_OFFSET: Final = -1
_NO_APPEND_TIME: Final = -1

OnDelivery = Callable[[RecordMetadata | None, LogServerError | None], None]
"""Called once a record: with its metadata and None, or with None and the error."""

# Held for a few instructions only, where a batch ends and where somebody starts to wait for it: so one serves all.
_ending = Lock()


class Batch:
    """Records of one partition that are stored, or fail, together.

    The user's thread fills it while it is the open batch of its `PartitionQueue`; from its sealing on it belongs to
    the sender. `complete`, `fail` and `split` end it, once.
    """

    __slots__ = (
        "_deliveries",
        "_event",
        "_waiters",
        "append_time_ms",
        "base_offset",
        "base_sequence",
        "builder",
        "count",
        "created_s",
        "deadline_s",
        "done",
        "error",
        "is_sealed",
        "is_sent",
        "is_transactional",
        "is_uncertain",
        "parts",
        "payload",
        "producer_epoch",
        "producer_id",
        "queue",
        "reserved_bytes",
        "was_resequenced",
    )

    def __init__(
        self,
        queue: "PartitionQueue",
        builder: BatchBuilder,
        created_s: float,
        deadline_s: float,
        reserved_bytes: int,
    ) -> None:
        self.queue = queue
        self.builder: BatchBuilder | None = builder
        """Takes the records; only while the batch is open, under its queue's lock."""
        self.count = 0
        """Of records, set when the batch is sealed."""
        self.created_s = created_s
        self.deadline_s = deadline_s
        self.reserved_bytes = reserved_bytes
        """What it takes of the buffer memory; given back when it ends."""
        self.is_sealed = False
        self.payload: bytes | bytearray | None = None
        """The record batch; a bytearray is written over when the batch gets another sequence."""

        self.is_transactional = False
        """Its records belong to a transaction."""
        self.producer_id = NO_PRODUCER_ID
        self.producer_epoch = NO_PRODUCER_EPOCH
        self.base_sequence = NO_SEQUENCE
        self.is_sent = False
        """On a stream, and not answered."""
        self.is_uncertain = False
        """An earlier attempt was never answered: it may be stored."""
        self.was_resequenced = False
        """Its sequence was moved while it was on a stream: that attempt can only be answered with an error about it."""

        self.done = False
        self.error: LogServerError | None = None
        self.base_offset = UNKNOWN_OFFSET
        self.append_time_ms = _NO_APPEND_TIME
        self.parts: list[tuple[int, Batch]] = []
        """After a split: (index of its first record here, part)."""
        self._event: Event | None = None
        self._waiters: list[tuple[int, Callable[[Batch, int], None]]] = []
        self._deliveries: list[tuple[int, int, OnDelivery]] = []

    # The user's side.

    def add_delivery(self, index: int, timestamp_ms: int, on_delivery: OnDelivery) -> None:
        """Registers the callback of a record; only while the batch is open, under its queue's lock."""
        self._deliveries.append((index, timestamp_ms, on_delivery))

    def add_waiter(self, index: int, waiter: Callable[["Batch", int], None]) -> None:
        """Has `waiter(batch, index)` called when the record's batch ends, at once if it has.

        It gets the batch and the index there where the record ended up, which after a split is another one.
        """
        with _ending:
            if not self.done:
                self._waiters.append((index, waiter))
                return
        batch, index = self.locate(index)
        if batch is self:
            waiter(batch, index)
        else:
            batch.add_waiter(index, waiter)

    def wait(self, timeout_s: float | None) -> bool:
        """Blocks until this batch ends; False if that takes longer."""
        with _ending:
            if self.done:
                return True
            if self._event is None:
                self._event = Event()
            event = self._event
        return event.wait(timeout_s)

    def locate(self, index: int) -> tuple["Batch", int]:
        """Returns the batch that the record is in now, and its index there."""
        batch = self
        while batch.parts:
            first, part = next((first, part) for first, part in reversed(batch.parts) if first <= index)
            batch, index = part, index - first
        return batch, index

    def metadata(self, index: int, timestamp_ms: int) -> RecordMetadata:
        """Returns where a record of a batch that was completed is."""
        offset = self.base_offset + index if self.base_offset >= 0 else UNKNOWN_OFFSET
        append_time_ms = self.append_time_ms
        return RecordMetadata(
            self.queue.topic, self.queue.partition, offset, timestamp_ms if append_time_ms < 0 else append_time_ms
        )

    # The sender's side.

    @property
    def size_bytes(self) -> int:
        """Bytes on the way: those of the payload, before it is built those of the uncompressed batch."""
        if self.payload is not None:
            return len(self.payload)
        return self.builder.size_bytes if self.builder is not None else 0

    def seal(self) -> None:
        """Says that no more records come; under the queue's lock."""
        assert self.builder is not None
        self.is_sealed = True
        self.count = self.builder.record_count

    def stamp(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """Sets producer id, epoch and base sequence, building the batch the first time.

        Raises:
            ValueError: the records can't be built into a batch (2 GiB).
        """
        if self.payload is None:
            assert self.builder is not None
            self.payload = self.builder.take(
                producer_id, producer_epoch, base_sequence, is_transactional=self.is_transactional
            )
            self.builder = None
        elif (producer_id, producer_epoch, base_sequence) != (
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
        ):
            header = read_header(self.payload)._replace(
                producer_id=producer_id, producer_epoch=producer_epoch, base_sequence=base_sequence
            )
            if isinstance(self.payload, bytearray):
                # What was written to a stream is a copy.
                write_header(header, self.payload)
            else:
                self.payload = reheader(header, memoryview(self.payload)[HEADER_SIZE:])
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.base_sequence = base_sequence

    def complete(self, base_offset: int, append_time_ms: int = _NO_APPEND_TIME) -> None:
        """Ends the batch as stored, `base_offset` being that of its first record, -1 if unknown."""
        self.base_offset = base_offset
        self.append_time_ms = append_time_ms
        self._end()

    def fail(self, error: LogServerError) -> None:
        """Ends the batch as failed."""
        self.error = error
        self._end()

    def split(self, compression: Compression, level: int | None) -> list["Batch"]:
        """Ends the batch by handing its records to two halves, which take over its sequences, times and waiters."""
        assert self.payload is not None
        records = decode_batch(self.payload, max_decompressed_bytes=_UNLIMITED_BYTES)
        middle = (len(records) + 1) // 2
        parts = []
        for first, half in ((0, records[:middle]), (middle, records[middle:])):
            builder = BatchBuilder(_UNLIMITED_BYTES, compression, level)
            for record in half:
                builder.append(record.timestamp_ms, record.key, record.value, record.headers)
            reserved = self.reserved_bytes // 2 if first else self.reserved_bytes - self.reserved_bytes // 2
            part = Batch(self.queue, builder, self.created_s, self.deadline_s, reserved)
            part.is_transactional = self.is_transactional
            part.seal()
            if self.base_sequence != NO_SEQUENCE:
                part.stamp(self.producer_id, self.producer_epoch, add_sequence(self.base_sequence, first))
            else:
                part.stamp(NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE)
            part._deliveries = [
                (index - first, timestamp_ms, on_delivery)
                for index, timestamp_ms, on_delivery in self._deliveries
                if first <= index < first + len(half)
            ]
            parts.append((first, part))
        self._deliveries = []
        self.reserved_bytes = 0
        self.parts = parts
        self._end()
        return [part for _, part in parts]

    def _end(self) -> None:
        # Futures that a user keeps must not keep the records.
        self.payload = None
        self.builder = None
        with _ending:
            assert not self.done, "a batch ends once"
            self.done = True
            event, waiters, deliveries = self._event, self._waiters, self._deliveries
            self._event = None
            self._waiters = []
            self._deliveries = []
        if event is not None:
            event.set()
        for index, waiter in waiters:
            batch, index_there = self.locate(index)
            if batch is self:
                _call(waiter, self, index)
            else:
                batch.add_waiter(index_there, waiter)
        for index, timestamp_ms, on_delivery in deliveries:
            if self.error is None:
                _call(on_delivery, self.metadata(index, timestamp_ms), None)
            else:
                _call(on_delivery, None, self.error)


_UNLIMITED_BYTES: Final = 0x7FFF_FFFF
"""For records that we have built ourselves."""


def add_sequence(sequence: int, count: int) -> int:
    """Returns the sequence so many records on; it wraps behind 2^31 - 1 (Kafka: `DefaultRecordBatch`)."""
    return (sequence + count) & 0x7FFF_FFFF


def _call(callback: Callable[..., None], *arguments: object) -> None:
    # A user's callback must not take the sender down with it.
    try:
        callback(*arguments)
    except Exception:
        _log.exception("a delivery callback failed")
