"""A producer without its face: what the synchronous and the asyncio class have in common."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, Generic, NoReturn, TypeVar

from logserver_records.batch import HEADER_SIZE
from logserver_records.codec import Headers

from logserver_client._produce.accumulator import Accumulator, PartitionQueue, TopicQueues, record_bytes
from logserver_client._produce.batch import Batch
from logserver_client._produce.config import ENVELOPE_BYTES, ProducerConfig
from logserver_client._produce.futures import BaseRecordFuture
from logserver_client._produce.pool import BufferPool
from logserver_client._produce.sender import Sender
from logserver_client._produce.transaction_state import State, TransactionState
from logserver_client._produce.transactions import Transactions
from logserver_client._transport.cluster import Cluster
from logserver_client.errors import (
    BufferFull,
    LogServerError,
    UnknownTopicOrPartition,
    buffer_full,
    client_closed,
    invalid_transaction_state,
    message_too_large,
    serialization_error,
)
from logserver_client.types import GroupMetadata, OffsetAndMetadata, TopicPartition

F = TypeVar("F", bound=BaseRecordFuture)

_log = logging.getLogger("logserver_client")

_ABORT_TIMEOUT_S: Final = 5.0
"""How long a producer that is closed tries to abort its open transaction."""

_BYTES_LIKE: Final = (bytes, bytearray, memoryview)


class ProducerCore(Generic[F]):
    """Accumulator and sender of one producer.

    Args:
        new_future: as `Accumulator`.
        has_threads: records come from other threads than the event loop's.
    """

    def __init__(
        self, config: ProducerConfig, new_future: Callable[[Batch, int, int], F], *, has_threads: bool
    ) -> None:
        self.config = config
        self._has_threads = has_threads
        self._random = Random()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cluster: Cluster | None = None
        self._sender: Sender | None = None
        self._transactions: Transactions | None = None
        self._transaction_state = (
            TransactionState(config.transactional_id) if config.transactional_id is not None else None
        )
        self.accumulator: Accumulator[F] = Accumulator(
            batch_bytes=config.batch_size,
            compression=config.compression,
            compression_level=config.compression_level,
            linger_s=config.linger_ms / 1000,
            delivery_timeout_s=config.delivery_timeout_ms / 1000,
            pool=BufferPool(config.buffer_memory),
            random=self._random,
            clock=time.monotonic,
            new_future=new_future,
            check=self._check,
            on_work=self._on_work,
            is_transactional=self._transaction_state is not None,
        )

    # Any thread.

    def choose(self, topic: TopicQueues, key: bytes | None, partition: int | None) -> PartitionQueue:
        """Returns the queue of a record's partition.

        Raises:
            UnknownTopicOrPartition: the topic has no such partition, as far as known.
        """
        if partition is None:
            partitioner = self.config.partitioner
            if partitioner is None:
                return topic.sticky if key is None else topic.for_key(key)
            partition = partitioner(topic.topic, key, len(topic.queues))
            if partition is None:
                return topic.sticky
        if not 0 <= partition < len(topic.queues):
            raise UnknownTopicOrPartition(
                3,
                "UNKNOWN_TOPIC_OR_PARTITION",
                f"{topic.topic} has the partitions 0 to {len(topic.queues) - 1}, not {partition}",
            )
        return topic.queues[partition]

    def check_types(self, key: object, value: object, *, key_is_hashed: bool = True) -> None:
        """Raises TypeError with what to do if key or value are not bytes, or a key is none that can be looked up."""
        for name, data, types in (
            ("key", key, bytes if key_is_hashed else _BYTES_LIKE),
            ("value", value, _BYTES_LIKE),
        ):
            if data is not None and not isinstance(data, types):
                raise TypeError(f"{name} is a {type(data).__name__}; give bytes, or the producer a {name}_serializer")

    def full(self) -> BufferFull:
        """Returns the error of a record for which there was no room."""
        return buffer_full(
            f"buffer_memory={self.config.buffer_memory} stayed full for max_block_ms={self.config.max_block_ms:g}: "
            "records come faster than the server takes them, or it is away"
        )

    @property
    def is_open(self) -> bool:
        """True from `start` to `close`."""
        return self._cluster is not None

    # The event loop.

    async def start(self) -> None:
        """Binds the producer to the running event loop."""
        self._started()

    async def topic(self, name: str) -> TopicQueues:
        """Returns the queues of a topic, asking the server for its partitions.

        Raises:
            UnknownTopicOrPartition, InvalidTopic, ConnectionFailed: as `Cluster.topic`.
        """
        cluster, _ = self._started()
        leaders = await cluster.topic(name)
        return self.accumulator.add_topic(name, leaders.partitions)

    @property
    def transactions(self) -> Transactions:
        """Its transactions.

        Raises:
            InvalidTransactionState: it has no transactional id.
        """
        self._started()
        if self._transactions is None:
            raise invalid_transaction_state("a producer has transactions if it is given a transactional_id")
        return self._transactions

    async def commit_offsets(
        self,
        offsets: Mapping[TopicPartition, int | OffsetAndMetadata],
        group: GroupMetadata | str,
        timeout_s: float,
    ) -> None:
        """Commits offsets in the open transaction; see `Transactions.commit_offsets`."""
        if isinstance(group, str):
            group = GroupMetadata(group, "", -1, None)
        whole = {
            tp: offset if isinstance(offset, OffsetAndMetadata) else OffsetAndMetadata(offset)
            for tp, offset in offsets.items()
        }
        await self.transactions.commit_offsets(whole, group, timeout_s)

    @property
    def needs_abort(self) -> bool:
        """Whether a transaction is to be aborted after an exception in it."""
        state = self._transaction_state
        # Whether a commit that was not answered has happened only another commit can tell.
        return state is not None and state.state in (State.OPEN, State.FLUSHING, State.FAILED)

    def timeout_s(self, timeout: float | None) -> float:
        """Returns how long to wait for what has to do with transactions, in seconds."""
        return self.config.max_block_ms / 1000 if timeout is None else timeout

    async def flush(self) -> None:
        """Sends everything buffered and returns when all of it has ended."""
        if self._sender is not None:
            await self._sender.flush()

    async def close(self, timeout_s: float | None) -> None:
        """Takes no more records, flushes, for so many seconds at most, fails what is left, aborts an open transaction,
        and closes the channels."""
        self.accumulator.close()
        cluster, sender = self._cluster, self._sender
        self._cluster = self._sender = None
        if cluster is None or sender is None:
            return
        try:
            try:
                await asyncio.wait_for(sender.flush(), timeout_s)
            except TimeoutError:
                sender.fail_all(client_closed("the producer was closed before the record was acknowledged"))
            if self._transactions is not None and self.needs_abort and timeout_s != 0:
                await self._abort_open(self._transactions, timeout_s)
        finally:
            await sender.close()
            await cluster.close()

    async def _abort_open(self, transactions: Transactions, timeout_s: float | None) -> None:
        """Aborts what is open, so that readers of committed records need not wait until the server does."""
        most_s = _ABORT_TIMEOUT_S if timeout_s is None else min(timeout_s, _ABORT_TIMEOUT_S)
        try:
            await transactions.end(False, most_s)
        except LogServerError as error:
            _log.warning("the open transaction is left to the server, which aborts it in time error=%s", error)

    async def abort(self) -> None:
        """Closes without waiting for anything."""
        await self.close(0)

    def _started(self) -> tuple[Cluster, Sender]:
        if self.accumulator.is_closed:
            raise_closed()
        if self._cluster is None or self._sender is None:
            self._loop = asyncio.get_running_loop()
            self._cluster = Cluster(self.config.address, request_timeout_s=self.config.request_timeout_ms / 1000)
            self._sender = Sender(self.config, self._cluster, self.accumulator, self._random, time.monotonic)
            if self._transaction_state is not None:
                self._transactions = Transactions(self.config, self._cluster, self._sender, self._transaction_state)
        return self._cluster, self._sender

    def _on_work(self) -> None:
        loop, sender = self._loop, self._sender
        if loop is not None and sender is not None:
            (loop.call_soon_threadsafe if self._has_threads else loop.call_soon)(sender.look)

    def _check(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        if self.accumulator.is_closed:
            raise_closed()
        if self._transaction_state is not None:
            self._transaction_state.check_send()
        self.check_types(key, value, key_is_hashed=False)
        size_bytes = HEADER_SIZE + record_bytes(key, value, headers) + ENVELOPE_BYTES
        if size_bytes > self.config.max_request_size:
            raise message_too_large(
                f"the record takes up to {size_bytes} bytes on its way, over max_request_size="
                f"{self.config.max_request_size}; the server's limits are grpc.max.message.bytes and the topic's "
                "max.message.bytes"
            )


def raise_closed() -> NoReturn:
    raise client_closed("the producer is closed")


def serialized(serializer: Callable[[Any], bytes], what: str, topic: str, data: Any) -> bytes:
    """Returns what a serialiser makes of a key or value.

    Raises:
        SerializationError: it failed; the cause is its exception.
    """
    try:
        return serializer(data)
    except Exception as error:
        raise serialization_error(f"the {what} of a record for {topic} can't be serialised: {error!r}") from error
