"""What a log remembers of its producers.

Per producer id: its epoch and its last five batches, so that a batch sent again is recognised and a gap refused
(KIP-98; Kafka: `ProducerStateManager`), and where its open transaction began.
"""

from collections.abc import Iterator
from typing import Final

from logserver_records.batch import NO_SEQUENCE, TRANSACTIONAL_MASK, BatchHeader
from logserver_records.control import EndTransactionMarker

from logserver_segments.errors import CoordinatorFenced, StaleProducerEpoch
from logserver_segments.partition_log import AbortedTransaction, ActiveProducer, Verification
from logserver_segments.producer import (
    NO_TRANSACTION,
    AppendedBatch,
    Producer,
    check_is_transactional,
    check_sequence,
    stale,
)
from logserver_segments.producer_snapshot import pack_snapshot, unpack_snapshot
from logserver_segments.unstable import UnstableOffsets
from logserver_segments.verifications import Verifications

_MAX_EPOCH: Final = 0x7FFF
_MOST_TRIES: Final = 100
"""So many producers with an open transaction are passed over at most, to find one to forget."""


class ProducerStates:
    """The producers of one log, bounded in number: the one not seen for longest goes first.

    Args:
        limit: how many producers at most.
    """

    __slots__ = ("_limit", "_producers", "changed", "unstable", "verifications")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # In order of last use.
        self._producers: dict[int, Producer] = {}
        self.verifications = Verifications(limit)
        self.unstable = UnstableOffsets()
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
                    producer.timestamp_ms,
                    producer.coordinator_epoch,
                    producer.transaction_first_offset,
                )
            )
        return found

    # Transactions

    def verify(
        self, producer_id: int, epoch: int, base_sequence: int, supports_epoch_bump: bool
    ) -> Verification | None:
        """Returns what lets a producer begin a transaction; see `PartitionLog.verify`."""
        producer = self._producers.get(producer_id)
        if producer is not None:
            if epoch < producer.epoch:
                raise stale(producer_id, epoch, producer.epoch)
            if epoch == producer.epoch and producer.transaction_first_offset != NO_TRANSACTION:
                return None
        return self.verifications.begin(producer_id, epoch, base_sequence, supports_epoch_bump)

    def check_marker(self, producer_id: int, epoch: int, coordinator_epoch: int, transaction_version: int) -> None:
        """Decides about a marker before it is appended.

        Raises:
            StaleProducerEpoch, CoordinatorFenced: see `PartitionLog.append_marker`.
        """
        producer = self._producers.get(producer_id)
        if producer is None:
            return
        is_open = producer.transaction_first_offset != NO_TRANSACTION
        # The largest epoch can't be raised any more: its transactions end under it.
        same_is_stale = transaction_version >= 2 and is_open and epoch != _MAX_EPOCH
        if epoch < producer.epoch or (epoch == producer.epoch and same_is_stale):
            raise StaleProducerEpoch(
                f"a marker of producer {producer_id} has epoch {epoch}, which is not above epoch {producer.epoch} "
                f"of its last batch or marker here"
                if epoch == producer.epoch
                else f"a marker of producer {producer_id} has epoch {epoch}, but epoch {producer.epoch} has taken over"
            )
        if coordinator_epoch < producer.coordinator_epoch:
            raise CoordinatorFenced(
                f"a marker of producer {producer_id} comes from a coordinator of epoch {coordinator_epoch}, "
                f"but one of epoch {producer.coordinator_epoch} has taken over"
            )

    def end_transaction(
        self, header: BatchHeader, marker: EndTransactionMarker, now_ms: int | None = None
    ) -> AbortedTransaction | None:
        """Takes up an appended marker; returns the transaction that it aborted, if it did.

        Args:
            header: of the marker's control batch, where it is stored.
            now_ms: the server's time; None for one that was found in the log.
        """
        producer_id = header.producer_id
        producer = self._use(producer_id, header.producer_epoch, now_ms)
        producer.coordinator_epoch = marker.coordinator_epoch
        producer.timestamp_ms = header.max_timestamp
        self.verifications.end(producer_id)
        first_offset = producer.transaction_first_offset
        aborted = None
        if first_offset != NO_TRANSACTION:
            producer.transaction_first_offset = NO_TRANSACTION
            self.unstable.end(producer_id, header.base_offset)
            if not marker.is_commit:
                open_still = self.unstable.first_open
                stable = open_still if open_still is not None else header.next_offset
                aborted = AbortedTransaction(producer_id, first_offset, header.base_offset, stable)
        self._make_room()
        return aborted

    # Batches

    def check(self, header: BatchHeader, verification: Verification | None = None) -> AppendedBatch | None:
        """Decides about a batch from a client before it is appended.

        Returns:
            The batch stored by an earlier attempt if this is one of the last five again, otherwise None: append it.

        Raises:
            StaleProducerEpoch: a newer epoch of this producer id has written here.
            OutOfOrderSequence: a gap behind the last batch, or a new epoch that does not start at 0.
            DuplicateSequence: an older batch than the last five.
            InvalidTransactionState: transactional without a transaction, or the other way round.
        """
        producer = self._producers.get(header.producer_id)
        if producer is None:
            if header.attributes & TRANSACTIONAL_MASK:
                self.verifications.check(header, verification)
            if self.verifications:
                self.verifications.check_order(header, None)
            # Nothing known, perhaps because retention removed all it wrote: any sequence may come (as Kafka).
            return None
        if header.producer_epoch == producer.epoch:
            first, last = header.base_sequence, header.last_sequence
            if (
                producer.batches
                and first == producer.batches[-1].last_sequence + 1
                and not header.attributes & TRANSACTIONAL_MASK
                and producer.transaction_first_offset == NO_TRANSACTION
                and not self.verifications
            ):
                # As nearly always.
                return None
            for batch in producer.batches:
                if batch.first_sequence == first and batch.last_sequence == last:
                    return batch
        self._check_epoch_and_transaction(header, producer, verification)
        if self.verifications:
            self.verifications.check_order(header, producer)
        check_sequence(header, producer)
        check_is_transactional(header, producer)
        return None

    def check_trusted(self, header: BatchHeader, verification: Verification | None) -> None:
        """Decides about a batch that this server has built, of which the sequence says nothing.

        Raises:
            StaleProducerEpoch, InvalidTransactionState: as `check`.
        """
        producer = self._producers.get(header.producer_id)
        if producer is not None:
            self._check_epoch_and_transaction(header, producer, verification)
            check_is_transactional(header, producer)
        elif header.is_transactional:
            self.verifications.check(header, verification)

    def _check_epoch_and_transaction(
        self, header: BatchHeader, producer: Producer, verification: Verification | None
    ) -> None:
        if header.producer_epoch < producer.epoch:
            raise stale(header.producer_id, header.producer_epoch, producer.epoch)
        if header.attributes & TRANSACTIONAL_MASK and (
            producer.transaction_first_offset == NO_TRANSACTION or producer.epoch != header.producer_epoch
        ):
            self.verifications.check(header, verification)

    def update(self, header: BatchHeader, base_offset: int, now_ms: int | None = None) -> None:
        """Takes up an appended batch that has a producer id and is no control batch.

        Args:
            base_offset: where it was stored.
            now_ms: the server's time; None for a batch that was found in the log.
        """
        producer = self._use(header.producer_id, header.producer_epoch, now_ms)
        producer.timestamp_ms = header.max_timestamp
        producer.batches.append(
            AppendedBatch(
                header.base_sequence,
                header.last_sequence,
                base_offset,
                base_offset + header.last_offset_delta,
                header.max_timestamp,
            )
        )
        if header.attributes & TRANSACTIONAL_MASK:
            self.verifications.end(header.producer_id)
            if producer.transaction_first_offset == NO_TRANSACTION:
                producer.transaction_first_offset = base_offset
                self.unstable.begin(header.producer_id, base_offset)
        if len(self._producers) > self._limit:
            self._make_room()

    def _use(self, producer_id: int, epoch: int, now_ms: int | None) -> Producer:
        """Returns a producer's state, made if need be, as that of who wrote last and under this epoch."""
        producer = self._producers.pop(producer_id, None)
        if producer is None:
            producer = Producer(epoch)
        elif producer.epoch != epoch:
            producer.epoch = epoch
            producer.batches.clear()
        self._producers[producer_id] = producer
        producer.used_ms = now_ms
        self.changed = True
        return producer

    def _make_room(self) -> None:
        """Forgets the producer that was not seen for longest; those with an open transaction stay, as if just seen."""
        excess = len(self._producers) - self._limit
        for _ in range(min(excess, 1) * _MOST_TRIES):
            producer_id = next(iter(self._producers))
            producer = self._producers.pop(producer_id)
            if producer.transaction_first_offset == NO_TRANSACTION:
                return
            self._producers[producer_id] = producer

    def expire(self, now_ms: int, lifetime_ms: int) -> int:
        """Forgets producers that have not written for longer than a lifetime; returns how many.

        By the server's clock and not, as Kafka does, by the records' own timestamps: a producer of old records must
        not be forgotten between two of its batches. For those known from before the log was opened, the time begins
        with the first call. Who has a transaction open stays.
        """
        gone = []
        for producer_id, producer in self._producers.items():
            if producer.used_ms is None:
                producer.used_ms = now_ms
            elif now_ms - producer.used_ms > lifetime_ms and producer.transaction_first_offset == NO_TRANSACTION:
                gone.append(producer_id)
        for producer_id in gone:
            del self._producers[producer_id]
        self.verifications.expire(now_ms, lifetime_ms)
        self.changed = self.changed or bool(gone)
        return len(gone)

    def clear(self) -> None:
        """Forgets all producers."""
        self._producers.clear()
        self.verifications.clear()
        self.unstable.clear()
        self.changed = True

    def to_snapshot(self) -> bytes:
        """Returns the content of a snapshot file."""
        return pack_snapshot(self._producers.items())

    def load_snapshot(self, content: bytes) -> None:
        """Replaces everything by what a snapshot file holds.

        Raises:
            SnapshotDamaged: it can't be read; nothing has changed.
        """
        loaded = unpack_snapshot(content)
        self.clear()
        excess = len(loaded) - self._limit
        for number, (producer_id, producer) in enumerate(loaded):
            if number >= excess or producer.transaction_first_offset != NO_TRANSACTION:
                self._producers[producer_id] = producer
        opened = [
            (producer.transaction_first_offset, producer_id)
            for producer_id, producer in self._producers.items()
            if producer.transaction_first_offset != NO_TRANSACTION
        ]
        for first_offset, producer_id in sorted(opened):
            self.unstable.begin(producer_id, first_offset)
        self.changed = False
