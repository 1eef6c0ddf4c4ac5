"""What a log remembers of its idempotent producers, and the `.snapshot` files that keep it.

Per producer id: its epoch and its last five batches, so that a batch sent again is recognised and a gap refused
(KIP-98; Kafka: `ProducerStateManager`). A snapshot keeps the last batch of each, in Kafka's format, version 1:
version i16, CRC-32C u32 of what follows, count i32, then per producer: id i64, epoch i16, last sequence i32, last
offset i64, offset delta i32, timestamp i64, coordinator epoch i32, first offset of the open transaction i64.
"""

from collections import deque
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from crc32c import crc32c
from logserver_records.batch import NO_PRODUCER_EPOCH, NO_SEQUENCE, BatchHeader

from logserver_segments.errors import DuplicateSequence, OutOfOrderSequence, StaleProducerEpoch
from logserver_segments.partition_log import ActiveProducer

REMEMBERED_BATCHES: Final = 5

_HEAD: Final = Struct(">hIi")
_ENTRY: Final = Struct(">qhiqiqiq")
_VERSION: Final = 1
_CRC_START: Final = 6
_MAX_SEQUENCE: Final = 0x7FFFFFFF
_NO_TRANSACTION: Final = -1


class SnapshotDamaged(Exception):
    """A snapshot file that can't be read."""


class AppendedBatch(NamedTuple):
    """One batch of a producer: sequences and offsets inclusive."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp_ms: int


class Producer:
    """State of one producer id in one log."""

    __slots__ = ("batches", "coordinator_epoch", "epoch", "transaction_first_offset", "used_ms")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: deque[AppendedBatch] = deque(maxlen=REMEMBERED_BATCHES)
        self.coordinator_epoch = -1
        self.transaction_first_offset = _NO_TRANSACTION
        # When it last wrote, by the server's clock; None if that was before the log was opened.
        self.used_ms: int | None = None


def _next_sequence(sequence: int) -> int:
    return 0 if sequence == _MAX_SEQUENCE else sequence + 1


class ProducerStates:
    """The producers of one log, bounded in number: the one not seen for longest goes first.

    Args:
        limit: how many producers at most.
    """

    __slots__ = ("_limit", "_producers", "changed")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # In order of last use.
        self._producers: dict[int, Producer] = {}
        # Whether something changed since the last snapshot.
        self.changed = False

    def __len__(self) -> int:
        return len(self._producers)

    def items(self) -> Iterator[tuple[int, Producer]]:
        """Yields (producer id, state)."""
        return iter(self._producers.items())

    def active(self) -> list[ActiveProducer]:
        """Returns what is known of each, those that wrote last at the end."""
        found = []
        for producer_id, producer in self._producers.items():
            last = producer.batches[-1] if producer.batches else None
            found.append(
                ActiveProducer(
                    producer_id,
                    producer.epoch,
                    last.last_sequence if last is not None else NO_SEQUENCE,
                    last.timestamp_ms if last is not None else -1,
                    producer.coordinator_epoch,
                    producer.transaction_first_offset,
                )
            )
        return found

    def check(self, header: BatchHeader) -> AppendedBatch | None:
        """Decides about a batch from a client before it is appended.

        Returns:
            The batch stored by an earlier attempt if this is one of the last five again, otherwise None: append it.

        Raises:
            StaleProducerEpoch: a newer epoch of this producer id has written here.
            OutOfOrderSequence: a gap behind the last batch, or a new epoch that does not start at 0.
            DuplicateSequence: an older batch than the last five.
        """
        producer = self._producers.get(header.producer_id)
        if producer is None:
            # Nothing known, perhaps because retention removed all it wrote: any sequence may come (as Kafka).
            return None
        if header.producer_epoch < producer.epoch:
            raise StaleProducerEpoch(
                f"producer {header.producer_id} wrote with epoch {header.producer_epoch}, "
                f"but epoch {producer.epoch} has taken over; this instance was replaced and must stop"
            )
        first = header.base_sequence
        if header.producer_epoch > producer.epoch:
            if first != 0 and producer.epoch != NO_PRODUCER_EPOCH:
                raise OutOfOrderSequence(
                    f"producer {header.producer_id} began epoch {header.producer_epoch} with sequence {first}, not 0"
                )
            return None
        if not producer.batches:
            return None
        last = header.last_sequence
        for batch in producer.batches:
            if batch.first_sequence == first and batch.last_sequence == last:
                return batch
        expected = _next_sequence(producer.batches[-1].last_sequence)
        if producer.batches[-1].last_sequence == NO_SEQUENCE or first == expected:
            return None
        oldest = producer.batches[0].first_sequence
        if last < expected and last < oldest:
            raise DuplicateSequence(
                f"producer {header.producer_id} sent sequences {first} to {last} again; they are older than the last "
                f"{REMEMBERED_BATCHES} batches, so their offsets are no longer known"
            )
        raise OutOfOrderSequence(
            f"producer {header.producer_id} sent sequence {first} where {expected} is next; "
            f"a batch in between is missing"
        )

    def update(self, header: BatchHeader, base_offset: int, now_ms: int | None = None) -> None:
        """Takes up an appended batch that has a producer id.

        Args:
            base_offset: where it was stored.
            now_ms: the server's time; None for a batch that was found in the log.
        """
        producer = self._producers.pop(header.producer_id, None)
        if producer is None or producer.epoch != header.producer_epoch:
            old = producer
            producer = Producer(header.producer_epoch)
            if old is not None:
                producer.coordinator_epoch = old.coordinator_epoch
        self._producers[header.producer_id] = producer
        producer.used_ms = now_ms
        producer.batches.append(
            AppendedBatch(
                header.base_sequence,
                header.last_sequence,
                base_offset,
                base_offset + header.last_offset_delta,
                header.max_timestamp,
            )
        )
        self.changed = True
        if len(self._producers) > self._limit:
            del self._producers[next(iter(self._producers))]

    def expire(self, now_ms: int, lifetime_ms: int) -> int:
        """Forgets producers that have not written for longer than a lifetime; returns how many.

        By the server's clock and not, as Kafka does, by the records' own timestamps: a producer of old records must
        not be forgotten between two of its batches. For those known from before the log was opened, the time begins
        with the first call.
        """
        gone = []
        for producer_id, producer in self._producers.items():
            if producer.used_ms is None:
                producer.used_ms = now_ms
            elif now_ms - producer.used_ms > lifetime_ms and producer.transaction_first_offset == _NO_TRANSACTION:
                gone.append(producer_id)
        for producer_id in gone:
            del self._producers[producer_id]
        self.changed = self.changed or bool(gone)
        return len(gone)

    def clear(self) -> None:
        """Forgets all producers."""
        self._producers.clear()
        self.changed = True

    def to_snapshot(self) -> bytes:
        """Returns the content of a snapshot file."""
        entries = []
        for producer_id, producer in self._producers.items():
            if producer.batches:
                last = producer.batches[-1]
                offsets = (
                    last.last_sequence,
                    last.last_offset,
                    last.last_offset - last.first_offset,
                    last.timestamp_ms,
                )
            else:
                offsets = (NO_SEQUENCE, -1, 0, -1)
            entries.append(
                _ENTRY.pack(
                    producer_id,
                    producer.epoch,
                    *offsets,
                    producer.coordinator_epoch,
                    producer.transaction_first_offset,
                )
            )
        body = b"".join((len(entries).to_bytes(4, "big"), *entries))
        return _HEAD.pack(_VERSION, crc32c(body), len(entries))[:_CRC_START] + body

    def load_snapshot(self, content: bytes) -> None:
        """Replaces everything by what a snapshot file holds.

        Raises:
            SnapshotDamaged: it is cut short, of another version, or its CRC is wrong.
        """
        if len(content) < _HEAD.size:
            raise SnapshotDamaged(f"{len(content)} bytes are too few")
        version, crc, count = _HEAD.unpack_from(content)
        if version != _VERSION:
            raise SnapshotDamaged(f"version {version} is not known")
        if crc32c(content[_CRC_START:]) != crc:
            raise SnapshotDamaged("the CRC is wrong")
        if count < 0 or len(content) - _HEAD.size != count * _ENTRY.size:
            raise SnapshotDamaged(f"{count} entries do not fit its size of {len(content)} bytes")
        self._producers.clear()
        # Written in order of last use.
        for number in range(max(count - self._limit, 0), count):
            producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator_epoch, transaction = (
                _ENTRY.unpack_from(content, _HEAD.size + number * _ENTRY.size)
            )
            producer = Producer(epoch)
            producer.coordinator_epoch = coordinator_epoch
            producer.transaction_first_offset = transaction
            if last_offset >= 0:
                first = last_sequence - delta
                producer.batches.append(
                    AppendedBatch(
                        first if first >= 0 else first + _MAX_SEQUENCE + 1,
                        last_sequence,
                        last_offset - delta,
                        last_offset,
                        timestamp,
                    )
                )
            self._producers[producer_id] = producer
        self.changed = False
