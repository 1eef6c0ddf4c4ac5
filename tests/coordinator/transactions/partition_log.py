"""What a partition does with the batches and markers of transactions (KIP-98, KIP-890), without bytes."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Batch(NamedTuple):
    """Records of a transaction, as one."""

    producer_id: int
    epoch: int
    record: int


@dataclass
class _Producer:
    """What a partition knows of a producer id."""

    epoch: int = -1
    coordinator_epoch: int = -1
    open_from: int | None = None
    """Offset of the first batch without marker."""
    guard: object | None = None
    """Of the verification that is under way or done, and that no marker has overtaken."""


@dataclass
class PartitionLog:
    """One partition, until it is deleted."""

    batches: list[Batch] = field(default_factory=list)
    fates: dict[int, bool] = field(default_factory=dict)
    """Of records: whether they are committed; those not in it have no marker yet."""
    producers: dict[int, _Producer] = field(default_factory=dict)
    is_deleted: bool = False

    def _producer(self, producer_id: int) -> _Producer:
        return self.producers.setdefault(producer_id, _Producer())

    def begin_verification(self, producer_id: int, epoch: int) -> object | None:
        """Returns what `append` wants to see again; None if the transaction is known to be open."""
        producer = self._producer(producer_id)
        if producer.open_from is not None and producer.epoch == epoch:
            return None
        producer.guard = producer.guard or object()
        return producer.guard

    def append(self, batch: Batch, guard: object | None) -> bool:
        """Appends a batch; returns whether it was taken."""
        producer = self._producer(batch.producer_id)
        if self.is_deleted or batch.epoch < producer.epoch:
            return False
        if producer.open_from is None:
            if guard is None or producer.guard is not guard:
                return False
            producer.open_from = len(self.batches)
        else:
            assert batch.epoch == producer.epoch, f"{batch} would go into the transaction of epoch {producer.epoch}"
        producer.epoch = batch.epoch
        self.batches.append(batch)
        return True

    def end(self, producer_id: int, epoch: int, commit: bool, coordinator_epoch: int, transaction_version: int) -> bool:
        """Writes a marker; returns whether it was taken."""
        producer = self._producer(producer_id)
        if coordinator_epoch < producer.coordinator_epoch or epoch < producer.epoch:
            return False
        if transaction_version >= 2 and producer.open_from is not None and epoch == producer.epoch:
            # It is about the transaction before.
            return False
        if producer.open_from is not None:
            for batch in self.batches[producer.open_from :]:
                if batch.producer_id == producer_id:
                    self.fates[batch.record] = commit
        self.producers[producer_id] = _Producer(epoch, coordinator_epoch)
        return True

    @property
    def last_stable_offset(self) -> int:
        """Offset of the first batch that has no marker yet, or the end."""
        opened = [producer.open_from for producer in self.producers.values() if producer.open_from is not None]
        return min(opened, default=len(self.batches))

    def open_producers(self) -> set[int]:
        """Returns the producer ids with batches without marker."""
        return {producer_id for producer_id, producer in self.producers.items() if producer.open_from is not None}

    def read_committed(self) -> list[int]:
        """Returns the records that a consumer of isolation level read_committed sees."""
        return [batch.record for batch in self.batches[: self.last_stable_offset] if self.fates.get(batch.record)]
