"""The asyncio producer."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from time import time_ns
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack, overload

from logserver_records.codec import NO_HEADERS

from logserver_client._produce.accumulator import PartitionQueue, TopicQueues
from logserver_client._produce.batch import OnDelivery
from logserver_client._produce.bulk import Bulk, pieces
from logserver_client._produce.config import ProducerSettings, producer_config
from logserver_client._produce.core import ProducerCore, serialized
from logserver_client._produce.deliveries import AioDeliveries
from logserver_client._produce.futures import AioRecordFuture
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.errors import request_timed_out
from logserver_client.types import GroupMetadata, Headers, OffsetAndMetadata, TopicPartition

K = TypeVar("K")
V = TypeVar("V")

RecordFuture = AioRecordFuture
Deliveries = AioDeliveries

_NS_PER_MS = 1_000_000


class Producer(Generic[K, V]):
    """Sends records to topics, many in a batch, and keeps what is under way in order.

        async with Producer("127.0.0.1:50051") as producer:
            future = await producer.send("flights", b'{"carrier": "UA"}', key=b"UA")
            print((await future).offset)

    Arguments, guarantees and errors are those of the synchronous `logserver_client.Producer`.
    """

    @overload
    def __init__(
        self: "Producer[bytes, bytes]", address: str = DEFAULT_ADDRESS, **settings: Unpack[ProducerSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: "Producer[K, bytes]",
        address: str = DEFAULT_ADDRESS,
        *,
        key_serializer: Callable[[K], bytes],
        **settings: Unpack[ProducerSettings],
    ) -> None: ...

    @overload
    def __init__(
        self: "Producer[bytes, V]",
        address: str = DEFAULT_ADDRESS,
        *,
        value_serializer: Callable[[V], bytes],
        **settings: Unpack[ProducerSettings],
    ) -> None: ...

    @overload
    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        key_serializer: Callable[[K], bytes],
        value_serializer: Callable[[V], bytes],
        **settings: Unpack[ProducerSettings],
    ) -> None: ...

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        key_serializer: Callable[[Any], bytes] | None = None,
        value_serializer: Callable[[Any], bytes] | None = None,
        **settings: Unpack[ProducerSettings],
    ) -> None:
        config = producer_config(address, key_serializer, value_serializer, **settings)
        self._key_serializer = key_serializer
        self._value_serializer = value_serializer
        self._chooses_partition = config.partitioner is not None
        self._max_block_s = config.max_block_ms / 1000
        self._core: ProducerCore[AioRecordFuture] = ProducerCore(config, AioRecordFuture, has_threads=False)
        self._accumulator = self._core.accumulator

    async def send(
        self,
        topic: str,
        value: V | None = None,
        *,
        key: K | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> AioRecordFuture:
        """Puts a record into its partition's batch; returns once it is there, with a future to await for the rest.

        Arguments and errors are those of the synchronous `send`; `on_delivery` is called in the event loop.
        """
        key_bytes: Any = key
        value_bytes: Any = value
        if self._key_serializer is not None and key is not None:
            key_bytes = serialized(self._key_serializer, "key", topic, key)
        if self._value_serializer is not None and value is not None:
            value_bytes = serialized(self._value_serializer, "value", topic, value)
        queues = self._accumulator.topics.get(topic)
        if queues is None:
            queues = await self._ask_topic(topic)
        try:
            if partition is not None or self._chooses_partition:
                queue = self._core.choose(queues, key_bytes, partition)
            elif key_bytes is None:
                queue = queues.sticky
            else:
                queue = queues.by_key.get(key_bytes) or queues.for_key(key_bytes)
            if timestamp_ms is None:
                timestamp_ms = time_ns() // _NS_PER_MS
                if not headers and on_delivery is None and not self._accumulator.is_work_announced:
                    # What `Accumulator.append` does for most records, as in the synchronous producer; the lock may be
                    # left out, because all that takes it is on this thread.
                    batch = queue.open
                    if batch is not None:
                        builder = batch.builder
                        assert builder is not None
                        index = builder.record_count
                        delta_ms = timestamp_ms - builder.base_timestamp_ms
                        if builder.encode(index, delta_ms, key_bytes, value_bytes, NO_HEADERS) is not None:
                            builder.record_count = index + 1
                            if timestamp_ms > builder.max_timestamp_ms:
                                builder.max_timestamp_ms = timestamp_ms
                            return AioRecordFuture(batch, index, timestamp_ms)
            future = self._accumulator.append(queue, timestamp_ms, key_bytes, value_bytes, headers or (), on_delivery)
        except TypeError:
            self._core.check_types(key_bytes, value_bytes)
            raise
        if future is None:
            return await self._append_when_free(queue, timestamp_ms, key_bytes, value_bytes, headers or (), on_delivery)
        if self._accumulator.is_work_announced:
            # Once a batch: a loop of sends must let the event loop send.
            await asyncio.sleep(0)
        return future

    async def send_many(
        self,
        topic: str,
        values: Iterable[V | None],
        *,
        keys: Iterable[K | None] | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> AioDeliveries:
        """Puts many records into their partitions' batches: as `send` for each, at a fraction of its cost.

        It returns once they are there, with their futures as a sequence, which can also be awaited as a whole.
        Arguments and errors are those of the synchronous `send_many`.
        """
        queues = self._accumulator.topics.get(topic)
        if queues is None:
            queues = await self._ask_topic(topic)
        deliveries = AioDeliveries(AioRecordFuture)
        bulk = Bulk(self._core, queues, deliveries, headers or (), partition, timestamp_ms, asyncio.Event)
        loop = asyncio.get_running_loop()
        for some_keys, some in pieces(keys, values):
            deadline_s: float | None = None
            for freed in bulk.run(some_keys, some):
                if freed is None:
                    deadline_s = None
                    # Once a batch: the event loop must get to send.
                    await asyncio.sleep(0)
                    continue
                if deadline_s is None:
                    deadline_s = loop.time() + self._max_block_s
                try:
                    async with asyncio.timeout_at(deadline_s):
                        await freed.wait()
                except TimeoutError:
                    bulk.refuse(self._core.full())
        return deliveries

    async def flush(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Sends what is buffered without lingering and returns when all of it has been acknowledged or has failed.

        Args:
            timeout: seconds; None waits as long as it takes, which `delivery_timeout_ms` bounds.

        Raises:
            TimeoutError: it took longer.
        """
        async with asyncio.timeout(timeout):
            await self._core.flush()

    # Transactions.

    async def init_transactions(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Takes the transactional id, ending what an earlier producer of that name has left open, and fences that one.

        The first `begin_transaction` does it otherwise.

        Args:
            timeout: seconds, here and below; None is `max_block_ms`.

        Raises:
            ProducerFenced: another producer has taken the transactional id from this one.
            InvalidTransactionState: there is no transactional id.
            RequestTimedOut, LogServerError: it can't be had.
        """
        await self._core.transactions.init(self._core.timeout_s(timeout))

    async def begin_transaction(self) -> None:
        """Opens a transaction, in which records are sent from here on.

        Raises:
            InvalidTransactionState: one is open.
            LogServerError: as `init_transactions`.
        """
        await self._core.transactions.begin(self._core.timeout_s(None))

    async def send_offsets_to_transaction(
        self,
        offsets: Mapping[TopicPartition, int | OffsetAndMetadata],
        group: GroupMetadata | str,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """Commits offsets of a group in the open transaction: they count once it is committed.

        Args:
            offsets: of the records to read next.
            group: `consumer.group_metadata()`, so that a consumer that has lost its partitions can't (KIP-447), or the
                group's id.

        Raises:
            TransactionFailed: the consumer is no member of the group any more, or the offsets are refused.
            InvalidTransactionState: no transaction is open.
        """
        await self._core.commit_offsets(offsets, group, self._core.timeout_s(timeout))

    async def commit_transaction(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Sends what is buffered, and commits: records and offsets of the transaction are visible all together.

        Raises:
            TransactionFailed: something of it has failed: abort it.
            ProducerFenced: another producer has taken the transactional id.
            RequestTimedOut: nobody could say whether it is committed: commit again.
            InvalidTransactionState: no transaction is open.
        """
        await self._core.transactions.end(True, self._core.timeout_s(timeout))

    async def abort_transaction(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Aborts: nobody who reads committed records sees anything of the transaction.

        Raises:
            ProducerFenced: another producer has taken the transactional id.
            RequestTimedOut: nobody could say whether it is aborted: abort again.
            InvalidTransactionState: no transaction is open.
        """
        await self._core.transactions.end(False, self._core.timeout_s(timeout))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Opens a transaction for a block, and commits it behind that; an exception aborts it and goes on.

        async with producer.transaction():
            await producer.send("flights", b"...")
        """
        await self.begin_transaction()
        try:
            yield
            await self.commit_transaction()
        except BaseException:
            if self._core.needs_abort:
                await self.abort_transaction()
            raise

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Flushes and closes; what isn't acknowledged after `timeout` seconds fails with ClientClosed.

        A transaction that is open is aborted.
        """
        await self._core.close(timeout)

    async def __aenter__(self) -> "Producer[K, V]":
        await self._core.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None and core.is_open:
            warnings.warn(f"unclosed {self!r}: records may be lost", ResourceWarning, source=self, stacklevel=1)

    async def _ask_topic(self, topic: str) -> TopicQueues:
        try:
            async with asyncio.timeout(self._max_block_s):
                return await self._core.topic(topic)
        except TimeoutError:
            raise request_timed_out(
                f"nothing was heard about the topic {topic} within max_block_ms={self._max_block_s * 1000:g}"
            ) from None

    async def _append_when_free(
        self,
        queue: PartitionQueue,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        on_delivery: OnDelivery | None,
    ) -> AioRecordFuture:
        try:
            async with asyncio.timeout(self._max_block_s):
                while True:
                    freed = asyncio.Event()
                    future = self._accumulator.append(queue, timestamp_ms, key, value, headers, on_delivery, freed.set)
                    if future is not None:
                        return future
                    await freed.wait()
        except TimeoutError:
            raise self._core.full() from None
