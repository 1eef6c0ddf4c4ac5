"""What both forms of a queue do on their event loop."""

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Final, TypeVar

from logserverpb.v1 import queues_pb2

from logserver_client._backoff import Backoff
from logserver_client._queue.config import QueueConfig
from logserver_client._queue.delivery import Delivery, Session, deliveries_of, messages_of
from logserver_client._queue.message import BaseMessage, Handle, milliseconds
from logserver_client._queue.outbox import OnLost
from logserver_client._queue.settler import Settler
from logserver_client._queue.stream import ConsumeStream
from logserver_client._queue.wire import Received, receive_method
from logserver_client._transport.cluster import Cluster
from logserver_client.errors import CoordinatorNotAvailable, client_closed

M = TypeVar("M", bound=BaseMessage)

_CLOSE_TIMEOUT_S: Final = 10.0


class QueueCore:
    """A queue without its producer. Made anywhere, then used on one event loop.

    Args:
        has_threads: messages are settled on other threads than the event loop's.
    """

    def __init__(self, config: QueueConfig, on_lost: OnLost | None, has_threads: bool) -> None:
        self.config = config
        self._on_lost = on_lost
        self._has_threads = has_threads
        self._cluster: Cluster | None = None
        self._settler: Settler | None = None
        self._streams: set[ConsumeStream] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def is_open(self) -> bool:
        """Whether there are channels to close."""
        return self._cluster is not None

    async def consume(
        self, start: queues_pb2.ConsumeStart, wake: Callable[[], None], on_lost: OnLost | None
    ) -> ConsumeStream:
        """Opens a stream, and returns when the server has begun.

        Raises:
            LogServerError: it refuses, or nobody answers.
        """
        cluster, _ = self._started()
        stream = ConsumeStream(self.config, cluster, start, wake, on_lost or self._on_lost, Random(), self._has_threads)
        self._streams.add(stream)
        try:
            await stream.started()
        except BaseException:
            await self.end(stream, 0.0)
            raise
        return stream

    async def end(self, stream: ConsumeStream, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Closes a stream."""
        if stream in self._streams:
            self._streams.discard(stream)
            await stream.close(timeout_s)

    def drop(self, stream: ConsumeStream) -> None:
        """Closes a stream that nobody knows any more, later."""
        task = asyncio.get_running_loop().create_task(self.end(stream))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def receive(
        self,
        kind: type[M],
        owner: object,
        max_messages: int,
        wait_s: float,
        lock_s: float | None,
        auto_ack: bool,
        max_bytes: int,
    ) -> list[M]:
        """Returns messages under locks that time ends.

        Raises:
            LogServerError: the server refuses, or nobody answers.
        """
        cluster, settler = self._started()
        wait_ms = milliseconds("wait", wait_s)
        request = queues_pb2.ReceiveRequest(
            queue=self.config.name,
            max_messages=max_messages,
            max_bytes=max_bytes,
            wait_ms=wait_ms,
            lock_ms=0 if lock_s is None else milliseconds("lock", lock_s),
            settle=auto_ack,
        )
        answer = await self._received(cluster, request, self.config.request_timeout_s + wait_s)
        session = Session(answer.head.incarnation)
        found: list[M] = []
        for arrival in answer.arrivals:
            deliveries = deliveries_of(arrival, settler.outbox, session, owner, auto_ack)
            for some in messages_of(arrival, deliveries, kind):
                found += some
        return found

    async def _received(self, cluster: Cluster, request: queues_pb2.ReceiveRequest, timeout_s: float) -> Received:
        """Calls Receive, again where the connection breaks or the coordinator is not there yet."""
        connection = cluster.bootstrap
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        backoff = Backoff(self.config.retry_backoff_ms, self.config.retry_backoff_max_ms, Random())
        while True:
            try:
                answer: Received = await connection.call(
                    receive_method(connection.channel), request, deadline_s - loop.time()
                )
            except CoordinatorNotAvailable:
                delay_s = backoff.next_delay_s()
                if loop.time() + delay_s >= deadline_s:
                    raise
                await asyncio.sleep(delay_s)
            else:
                return answer

    async def by_handles(self, kind: type[M], owner: object, handles: Iterable[str]) -> list[M]:
        """Returns the messages of handles, without what is in them.

        Raises:
            ValueError: one is no handle.
        """
        _, settler = self._started()
        found = []
        for incarnation, partition, offset, number in map(Handle.parse, handles):
            acquired = queues_pb2.AcquiredRange(first=offset, last=offset, number=number)
            delivery = Delivery(settler.outbox, Session(incarnation), owner, partition, acquired)
            found.append(tuple.__new__(kind, (delivery, partition, offset, -1, None, None, ())))
        return found

    async def flush(self) -> None:
        """Returns when everything that was said of received messages is durable.

        Raises:
            MessageLost: something was not good, and there is no `on_lost`.
        """
        if self._settler is not None:
            await self._settler.outbox.flushed()

    async def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Ends everything; what was said of messages goes out before."""
        self._is_closed = True
        cluster, self._cluster = self._cluster, None
        if cluster is None:
            return
        await asyncio.gather(*self._ending, *(self.end(stream, timeout_s) for stream in tuple(self._streams)))
        if self._settler is not None:
            await self._settler.close(timeout_s)
        await cluster.close()

    def _started(self) -> tuple[Cluster, Settler]:
        if self._is_closed:
            raise client_closed(f"the queue {self.config.name} is closed")
        if self._cluster is None or self._settler is None:
            self._cluster = Cluster(self.config.address, request_timeout_s=self.config.request_timeout_s)
            self._settler = Settler(
                self._cluster, self.config.name, self.config.request_timeout_s, self._on_lost, self._has_threads
            )
        return self._cluster, self._settler


class Hold:
    """Ends a stream when nobody knows it any more: neither who consumes nor one of its messages."""

    __slots__ = ("_core", "_loop", "_stream")

    def __init__(self, core: QueueCore, stream: ConsumeStream) -> None:
        self._core = core
        self._stream = stream
        self._loop = stream.loop

    def __del__(self) -> None:
        if self._core.is_open and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._core.drop, self._stream)
