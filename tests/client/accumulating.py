"""An accumulator with a clock that tests move."""

from random import Random

from logserver_client._produce.accumulator import Accumulator, PartitionQueue
from logserver_client._produce.batch import Batch, OnDelivery
from logserver_client._produce.futures import RecordFuture
from logserver_client._produce.pool import BufferPool
from logserver_client.types import Headers
from logserver_records.compression import Compression


class Accumulating:
    """An `Accumulator` and what it asks its surroundings for."""

    def __init__(
        self, *, batch_bytes: int = 1000, linger_s: float = 1.0, buffer_bytes: int = 1 << 20, partitions: int = 1
    ) -> None:
        self.now_s = 100.0
        self.wake_ups = 0
        self.pool = BufferPool(buffer_bytes)
        self.accumulator = Accumulator(
            batch_bytes=batch_bytes,
            compression=Compression.NONE,
            compression_level=None,
            linger_s=linger_s,
            delivery_timeout_s=30.0,
            pool=self.pool,
            random=Random(1),
            clock=lambda: self.now_s,
            new_future=RecordFuture,
            check=self._check,
            on_work=self._on_work,
        )
        self.topic = self.accumulator.add_topic("t", partitions)
        self.refuse: Exception | None = None

    def _check(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        if self.refuse is not None:
            raise self.refuse

    def _on_work(self) -> None:
        self.wake_ups += 1

    def append(
        self, value: bytes | None, queue: PartitionQueue | None = None, on_delivery: OnDelivery | None = None
    ) -> RecordFuture | None:
        return self.accumulator.append(queue or self.topic.queues[0], 5, None, value, (), on_delivery)

    def future(self, value: bytes | None, on_delivery: OnDelivery | None = None) -> RecordFuture:
        future = self.append(value, on_delivery=on_delivery)
        assert future is not None
        return future

    def ready(self) -> list[Batch]:
        """What the event loop would take over now."""
        self.accumulator.begin_look()
        batches: list[Batch] = []
        while (queue := self.accumulator.take_ready()) is not None:
            batches += queue.sealed
            queue.sealed.clear()
        return batches

    def sealed(self) -> list[Batch]:
        """All that has been appended, sealed."""
        self.accumulator.seal_all()
        return self.ready()
