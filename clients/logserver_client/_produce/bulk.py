"""Many records into batches, a piece at a time: as `send` for each, with one lock and one loop for a run of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from time import time_ns
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

from logserver_records.codec import BatchBuilder

from logserver_client._produce.accumulator import Accumulator, PartitionQueue, TopicQueues
from logserver_client._produce.batch import Batch
from logserver_client._produce.core import ProducerCore, serialized
from logserver_client._produce.deliveries import BaseDeliveries
from logserver_client.errors import LogServerError
from logserver_client.types import Headers

_PIECE_RECORDS: Final = 4096
"""Enough to make the cost of a piece vanish, few enough that a lock is never held for long."""

_NS_PER_MS: Final = 1_000_000


class Event(Protocol):
    """What is common to the events of threads and of asyncio."""

    def set(self) -> None: ...


E = TypeVar("E", bound=Event)


class Bulk(Generic[E]):
    """Puts the records of one `send_many` into batches.

    Args:
        new_event: makes what `run` yields.
    """

    def __init__(
        self,
        core: ProducerCore[Any],
        queues: TopicQueues,
        deliveries: BaseDeliveries[Any],
        headers: Headers,
        partition: int | None,
        timestamp_ms: int | None,
        new_event: Callable[[], E],
    ) -> None:
        self._core = core
        self._accumulator: Accumulator[Any] = core.accumulator
        self._queues = queues
        self._deliveries = deliveries
        self._headers = headers
        self._queue = None if partition is None else core.choose(queues, None, partition)
        self._timestamp_ms = timestamp_ms
        self._new_event = new_event

    def run(self, keys: Sequence[Any] | None, values: Sequence[Any]) -> Iterator[E | None]:
        """Puts a piece into batches.

        Yields:
            None where a batch has been filled, or an event that is set when there may be room in the buffer: to be
            waited for, and the iteration goes on; or to be given up by `refuse`.

        Raises:
            LogServerError, TypeError, ValueError: as `Producer.send`, after `refuse`.
        """
        timestamp_ms = time_ns() // _NS_PER_MS if self._timestamp_ms is None else self._timestamp_ms
        self._deliveries.begin(len(values), timestamp_ms)
        config = self._core.config
        try:
            values = self._serialized("value", config.value_serializer, values)
            if keys is None and config.partitioner is None:
                yield from self._fill(self._queue, range(len(values)), None, values, timestamp_ms)
                return
            keys = [None] * len(values) if keys is None else self._serialized("key", config.key_serializer, keys)
            for queue, places in self._by_partition(keys):
                yield from self._fill(queue, places, _pick(keys, places), _pick(values, places), timestamp_ms)
        except LogServerError as error:
            self.refuse(error)
        except TypeError:
            for key, value in zip(keys or (None,) * len(values), values, strict=True):
                self._core.check_types(key, value)
            raise

    def refuse(self, error: LogServerError) -> NoReturn:
        """Raises the error, which is that of every record of the piece that isn't in a batch."""
        left_out = self._deliveries.left_out()
        if left_out:
            batch = Batch(self._queue or self._queues.sticky, BatchBuilder(0), 0, 0, 0)
            batch.count = len(left_out)
            batch.fail(error)
            self._deliveries.add(left_out, batch, 0)
        error.deliveries = self._deliveries
        raise error

    def _serialized(
        self, what: str, serializer: Callable[[Any], bytes] | None, data: Sequence[Any]
    ) -> Sequence[bytes | None]:
        if serializer is None:
            return data
        topic = self._queues.topic
        return [None if one is None else serialized(serializer, what, topic, one) for one in data]

    def _by_partition(self, keys: Sequence[Any]) -> Iterable[tuple[PartitionQueue | None, list[int]]]:
        """Returns the places of the records of each partition, those of no partition in particular under None."""
        places: dict[PartitionQueue | None, list[int]] = {}
        for place, queue in enumerate(self._chosen(keys)):
            found = places.get(queue)
            if found is None:
                found = places[queue] = []
            found.append(place)
        return places.items()

    def _chosen(self, keys: Sequence[Any]) -> Iterable[PartitionQueue | None]:
        queues = self._queues
        if self._queue is not None:
            return [self._queue] * len(keys)
        if self._core.config.partitioner is not None:
            return [self._core.choose(queues, key, None) for key in keys]
        by_key, for_key = queues.by_key, queues.for_key
        return [by_key.get(key) or (None if key is None else for_key(key)) for key in keys]

    def _fill(
        self,
        queue: PartitionQueue | None,
        places: Sequence[int],
        keys: Sequence[Any] | None,
        values: Sequence[Any],
        timestamp_ms: int,
    ) -> Iterator[E | None]:
        """Puts records into batches of one partition, or of one partition after another (KIP-480)."""
        accumulator, headers = self._accumulator, self._headers
        count = len(values)
        start = 0
        while True:
            to = queue or self._queues.sticky
            extended = accumulator.extend(to, timestamp_ms, keys, values, start, headers)
            if extended is not None:
                batch, first, taken = extended
                if taken:
                    self._deliveries.add(places[start : start + taken], batch, first)
                    start += taken
            if start == count:
                return
            # It needs a new batch, or it can't be taken at all: this does the one, or says the other.
            key, value = None if keys is None else keys[start], values[start]
            placed = accumulator.place(to, timestamp_ms, key, value, headers)
            while placed is None:
                freed = self._new_event()
                placed = accumulator.place(to, timestamp_ms, key, value, headers, None, freed.set)
                if placed is None:
                    yield freed
            self._deliveries.add(places[start : start + 1], *placed)
            start += 1
            yield None


def pieces(keys: Iterable[Any] | None, values: Iterable[Any]) -> Iterator[tuple[list[Any] | None, list[Any]]]:
    """Yields keys and values, some thousands at a time.

    Raises:
        ValueError: there are more of the ones than of the others.
    """
    values = iter(values)
    keys = None if keys is None else iter(keys)
    while True:
        some = list(islice(values, _PIECE_RECORDS))
        some_keys = None if keys is None else list(islice(keys, _PIECE_RECORDS))
        if some_keys is not None and len(some_keys) != len(some):
            raise ValueError(f"{len(some)} values and {len(some_keys)} keys are left: give as many of both")
        if not some:
            return
        yield some_keys, some


def _pick(of: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    if len(places) == len(of):
        return of
    return itemgetter(*places)(of) if len(places) > 1 else [of[places[0]]]
