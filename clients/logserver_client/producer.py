"""The synchronous producer."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from time import time_ns
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack, overload

from logserver_records.codec import NO_HEADERS

from logserver_client._background import BACKGROUND
from logserver_client._produce.accumulator import PartitionQueue, TopicQueues
from logserver_client._produce.batch import OnDelivery
from logserver_client._produce.bulk import Bulk, pieces
from logserver_client._produce.config import ProducerSettings, producer_config
from logserver_client._produce.core import ProducerCore, serialized
from logserver_client._produce.deliveries import Deliveries
from logserver_client._produce.futures import RecordFuture
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.errors import request_timed_out
from logserver_client.types import GroupMetadata, Headers, OffsetAndMetadata, TopicPartition

K = TypeVar("K")
V = TypeVar("V")

_NS_PER_MS = 1_000_000


class Producer(Generic[K, V]):
    """Sends records to topics, many in a batch, and keeps what is under way in order.

    Safe for threads. Records of a partition are stored in the order in which `send` was called. With the defaults each
    is stored exactly once, whatever connections or server restarts happen on the way, or its future says why not.

        with Producer("127.0.0.1:50051") as producer:
            producer.send("flights", b'{"carrier": "UA"}', key=b"UA")

    Args:
        address: HOST:PORT of a server.
        key_serializer, value_serializer: make bytes of what `send` gets; not called for None.
        acks: when a record counts as delivered. "all": it is durable; 1: the leader has appended it; 0: it was sent,
            the offset stays unknown and errors are only logged.
        linger_ms: how long a batch that isn't full waits for more records, in milliseconds.
        batch_size: bytes of a full batch, before compression; a larger record goes alone. With very many partitions
            batches get smaller, so that an open batch for each fits into half of `buffer_memory`.
        compression: None, "gzip", "snappy", "lz4" or "zstd", for each batch.
        compression_level: None for the codec's default.
        partitioner: chooses partitions in place of the default: murmur2 of the key as Kafka's Java client, and for
            records without a key one partition after another, a batch each (KIP-480).
        idempotent: the server stores a batch once however often it is sent (KIP-98). None means yes with acks="all",
            no otherwise. Without it delivery is at least once: a retry after a lost connection may store records
            twice, and behind later ones.
        max_in_flight: batches of a partition under way at a time; at most 5 if idempotent.
        buffer_memory: bytes of records not yet acknowledged above which `send` blocks.
        max_request_size: bytes of the largest message; a record that needs a larger one is refused.
        max_block_ms: how long `send` waits for room in the buffer, or to hear about a topic, before it raises.
        delivery_timeout_ms: how long after its creation a batch may be acknowledged; then its records fail.
        request_timeout_ms: how long the server may take over a message before the connection counts as broken.
        retry_backoff_ms, retry_backoff_max_ms: the first and the longest ceiling of delays between attempts; each
            delay is drawn evenly from 0 to a ceiling that doubles.
        transactional_id: names the producer over its restarts: records are sent in transactions, which are visible all
            or not at all to those who read committed records only, and whoever comes with the same name takes over.
        transaction_timeout_ms: a transaction that is open for longer is aborted by the server.

    Raises:
        ValueError: a setting is out of its range.
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
        self._is_closed = True
        config = producer_config(address, key_serializer, value_serializer, **settings)
        self._key_serializer = key_serializer
        self._value_serializer = value_serializer
        self._chooses_partition = config.partitioner is not None
        self._max_block_s = config.max_block_ms / 1000
        self._core: ProducerCore[RecordFuture] = ProducerCore(config, RecordFuture, has_threads=True)
        self._append = self._core.accumulator.append
        self._topics = self._core.accumulator.topics
        self._user = BACKGROUND.acquire(self._core.abort)
        self._is_closed = False
        BACKGROUND.run(self._core.start())

    def send(
        self,
        topic: str,
        value: V | None = None,
        *,
        key: K | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> RecordFuture:
        """Puts a record into its partition's batch and returns at once, unless the buffer is full.

        Args:
            topic: must exist; the first record of a topic asks the server for its partitions.
            value, key: None is a null, which in a compacted topic (value) deletes the key.
            headers: pairs of name and bytes or None.
            partition: chosen by key, or by turns, unless given.
            timestamp_ms: milliseconds since the Unix epoch; now unless given.
            on_delivery: called with (metadata, None) or (None, error) when the record is stored or has failed, on the
                client's thread, which it must not block; records of a batch in their order.

        Raises:
            UnknownTopicOrPartition, InvalidTopic: there is no such topic or partition.
            ConnectionFailed, RequestTimedOut: nobody could say whether there is.
            BufferFull: no room was found within `max_block_ms`.
            MessageTooLarge: the record is over `max_request_size`.
            SerializationError: a serialiser failed.
            TypeError: key or value are not bytes and there is no serialiser.
            ClientClosed: after `close`.
        """
        key_bytes: Any = key
        value_bytes: Any = value
        if self._key_serializer is not None and key is not None:
            key_bytes = serialized(self._key_serializer, "key", topic, key)
        if self._value_serializer is not None and value is not None:
            value_bytes = serialized(self._value_serializer, "value", topic, value)
        queues = self._topics.get(topic)
        if queues is None:
            queues = self._ask_topic(topic)
        try:
            if partition is not None or self._chooses_partition:
                queue = self._core.choose(queues, key_bytes, partition)
            elif key_bytes is None:
                queue = queues.sticky
            else:
                queue = queues.by_key.get(key_bytes) or queues.for_key(key_bytes)
            if timestamp_ms is None:
                timestamp_ms = time_ns() // _NS_PER_MS
                if not headers and on_delivery is None:
                    # What `Accumulator.append` does for most records, without its calls: they take a third of the time.
                    queue.acquire()
                    try:
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
                                return RecordFuture(batch, index, timestamp_ms)
                    finally:
                        queue.release()
            future = self._append(queue, timestamp_ms, key_bytes, value_bytes, headers or (), on_delivery)
        except TypeError:
            self._core.check_types(key_bytes, value_bytes)
            raise
        if future is None:
            return self._append_when_free(queue, timestamp_ms, key_bytes, value_bytes, headers or (), on_delivery)
        return future

    def send_many(
        self,
        topic: str,
        values: Iterable[V | None],
        *,
        keys: Iterable[K | None] | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Deliveries:
        """Puts many records into their partitions' batches: as `send` for each, at a fraction of its cost.

        Records of a partition keep their order. It blocks while the buffer is full, up to `max_block_ms` at a time.

            deliveries = producer.send_many("flights", [b"UA 1", b"UA 2"], keys=[b"UA", b"UA"])
            print(len(deliveries), deliveries.result()[0].offset)

        Args:
            values: of the records; read some thousands at a time, so for values that come slowly there is `send`.
            keys: as many as values; without it no record has a key.
            headers: of each of the records.
            partition: of all the records.
            timestamp_ms: of all the records; the time at which they are read unless given.

        Returns:
            The records' futures as a sequence, with a `result` of its own for all of them.

        Raises:
            ValueError: `keys` are more or fewer than `values`; those that go together may be under way.
            LogServerError, TypeError: as `send`, for the first record that can't be sent. Others may be under way:
                `deliveries` of the error tells which.
        """
        queues = self._topics.get(topic)
        if queues is None:
            queues = self._ask_topic(topic)
        deliveries = Deliveries(RecordFuture)
        bulk = Bulk(self._core, queues, deliveries, headers or (), partition, timestamp_ms, Event)
        for some_keys, some in pieces(keys, values):
            deadline_s: float | None = None
            for freed in bulk.run(some_keys, some):
                if freed is None:
                    deadline_s = None
                    continue
                if deadline_s is None:
                    deadline_s = time.monotonic() + self._max_block_s
                if not self._wait(freed, deadline_s):
                    bulk.refuse(self._core.full())
        return deliveries

    def flush(self, timeout: float | None = None) -> None:
        """Sends what is buffered without lingering and returns when all of it has been acknowledged or has failed.

        Args:
            timeout: seconds; None waits as long as it takes, which `delivery_timeout_ms` bounds.

        Raises:
            TimeoutError: it took longer.
            ClientClosed: after `close`.
        """
        BACKGROUND.run(self._core.flush(), timeout)

    # Transactions.

    def init_transactions(self, timeout: float | None = None) -> None:
        """Takes the transactional id, ending what an earlier producer of that name has left open, and fences that one.

        The first `begin_transaction` does it otherwise.

        Args:
            timeout: seconds, here and below; None is `max_block_ms`.

        Raises:
            ProducerFenced: another producer has taken the transactional id from this one.
            InvalidTransactionState: there is no transactional id.
            RequestTimedOut, LogServerError: it can't be had.
        """
        BACKGROUND.run(self._core.transactions.init(self._core.timeout_s(timeout)))

    def begin_transaction(self) -> None:
        """Opens a transaction, in which records are sent from here on.

        Raises:
            InvalidTransactionState: one is open.
            LogServerError: as `init_transactions`.
        """
        BACKGROUND.run(self._core.transactions.begin(self._core.timeout_s(None)))

    def send_offsets_to_transaction(
        self,
        offsets: Mapping[TopicPartition, int | OffsetAndMetadata],
        group: GroupMetadata | str,
        timeout: float | None = None,
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
        BACKGROUND.run(self._core.commit_offsets(offsets, group, self._core.timeout_s(timeout)))

    def commit_transaction(self, timeout: float | None = None) -> None:
        """Sends what is buffered, and commits: records and offsets of the transaction are visible all together.

        Raises:
            TransactionFailed: something of it has failed: abort it.
            ProducerFenced: another producer has taken the transactional id.
            RequestTimedOut: nobody could say whether it is committed: commit again.
            InvalidTransactionState: no transaction is open.
        """
        BACKGROUND.run(self._core.transactions.end(True, self._core.timeout_s(timeout)))

    def abort_transaction(self, timeout: float | None = None) -> None:
        """Aborts: nobody who reads committed records sees anything of the transaction.

        Raises:
            ProducerFenced: another producer has taken the transactional id.
            RequestTimedOut: nobody could say whether it is aborted: abort again.
            InvalidTransactionState: no transaction is open.
        """
        BACKGROUND.run(self._core.transactions.end(False, self._core.timeout_s(timeout)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Opens a transaction for a block, and commits it behind that; an exception aborts it and goes on.

        with producer.transaction():
            producer.send("flights", b"...")
        """
        self.begin_transaction()
        try:
            yield
            self.commit_transaction()
        except BaseException:
            if self._core.needs_abort:
                self.abort_transaction()
            raise

    def close(self, timeout: float | None = None) -> None:
        """Flushes and closes; what isn't acknowledged after `timeout` seconds fails with ClientClosed.

        A transaction that is open is aborted.

        Raises:
            RuntimeError: called in a delivery callback.
        """
        if self._is_closed:
            return
        BACKGROUND.run(self._core.close(timeout))
        self._is_closed = True
        BACKGROUND.release(self._user)

    def __enter__(self) -> "Producer[K, V]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._is_closed:
            warnings.warn(f"unclosed {self!r}: records may be lost", ResourceWarning, source=self, stacklevel=1)

    def _ask_topic(self, topic: str) -> TopicQueues:
        try:
            return BACKGROUND.run(self._core.topic(topic), self._max_block_s)
        except TimeoutError:
            raise request_timed_out(
                f"nothing was heard about the topic {topic} within max_block_ms={self._max_block_s * 1000:g}"
            ) from None

    def _append_when_free(
        self,
        queue: PartitionQueue,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        on_delivery: OnDelivery | None,
    ) -> RecordFuture:
        deadline_s = time.monotonic() + self._max_block_s
        while True:
            freed = Event()
            future = self._append(queue, timestamp_ms, key, value, headers, on_delivery, freed.set)
            if future is not None:
                return future
            if not self._wait(freed, deadline_s):
                raise self._core.full()

    def _wait(self, freed: Event, deadline_s: float) -> bool:
        # A callback runs where room would be made: it would wait for itself.
        left_s = 0 if BACKGROUND.on_loop_thread() else deadline_s - time.monotonic()
        return left_s > 0 and freed.wait(left_s)
