"""The synchronous queue: messages in, and out to those who share the work on them."""

import warnings
from collections.abc import Iterable
from threading import Event, Lock
from types import TracebackType
from typing import Unpack

from logserver_client._background import BACKGROUND
from logserver_client._produce.batch import OnDelivery
from logserver_client._produce.config import ProducerSettings
from logserver_client._produce.deliveries import Deliveries
from logserver_client._produce.futures import RecordFuture
from logserver_client._queue.config import (
    DEFAULT_PREFETCH,
    ConsumeSettings,
    queue_config,
    start_message,
)
from logserver_client._queue.core import QueueCore
from logserver_client._queue.message import (
    Position,
    Verdict,
    extended,
    failed,
    rejected,
    released,
    settle_all,
)
from logserver_client._queue.outbox import OnLost
from logserver_client._queue.sync import Consumption, Message, Messages
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.errors import client_closed
from logserver_client.producer import Producer
from logserver_client.types import Headers


class Queue:
    """A queue of messages, which are given to those who share the work on them, each until it is settled.

        with Queue("127.0.0.1:50051", "mails") as queue:
            queue.send(b"to all")
            for message in queue.consume(prefetch=10):
                work_on(message.value)
                message.ack()

    The queue is declared by `Queues`. Safe for threads. A restart of the server is waited out: consuming goes on, and
    messages that were held are delivered again.

    Args:
        address: HOST:PORT of a server.
        name: of the queue; TOPIC/GROUP for a share group that Kafka clients have on a topic.
        on_lost: called with a MessageLost when a message is not held any more as it is settled, on the client's thread,
            which it must not block. Without it `flush` raises, and what nobody waits for is logged and counted.
        settings: of the producer that sends, see `Producer`; `request_timeout_ms` and `retry_backoff_ms` also count
            for consuming.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        name: str = "",
        *,
        on_lost: OnLost | None = None,
        **settings: Unpack[ProducerSettings],
    ) -> None:
        self._is_closed = True
        config = queue_config(address, name, settings)
        self.name = name
        self._address = address
        self._topic = config.topic
        self._settings = settings
        self._lock = Lock()
        self._producer: Producer[bytes, bytes] | None = None
        self._core = QueueCore(config, on_lost, has_threads=True)
        self._user = BACKGROUND.acquire(self._core.close)
        self._is_closed = False

    # Sending

    def send(
        self,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> RecordFuture:
        """Sends a message, many in a batch, and returns at once with a future; see `Producer.send`."""
        return (self._producer or self._open_producer()).send(
            self._topic,
            value,
            key=key,
            headers=headers,
            partition=partition,
            timestamp_ms=timestamp_ms,
            on_delivery=on_delivery,
        )

    def send_many(
        self,
        values: Iterable[bytes | None],
        *,
        keys: Iterable[bytes | None] | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Deliveries:
        """Sends many messages, as `send` for each at a fraction of its cost; see `Producer.send_many`."""
        return (self._producer or self._open_producer()).send_many(
            self._topic, values, keys=keys, headers=headers, partition=partition, timestamp_ms=timestamp_ms
        )

    # Getting

    def consume(
        self, prefetch: int = DEFAULT_PREFETCH, *, on_lost: OnLost | None = None, **settings: Unpack[ConsumeSettings]
    ) -> Consumption:
        """Begins to get messages as they come; returns when the server has begun.

        Args:
            prefetch: how many messages may be here that nothing was said of; 1 gives the next only to who is done with
                the one before.
            auto_ack: messages are settled as they are delivered: at most once, and nothing can be said of them.
            exclusive: nobody else may consume the queue meanwhile.
            single_active: of those who say so one gets messages, and another takes over when it has gone.
            priority: those with a higher one are served first.
            lock: seconds after which a message that nothing was said of is given to somebody else; None: as long as
                the stream is there.
            consumer: who consumes, for the stories of messages; the address unless given.
            max_bytes: at most so many bytes at a time, but always one message; 1 MiB unless given.
            on_lost: instead of the queue's.

        Raises:
            LogServerError: there is no such queue, or nobody answers.
            ValueError: a setting is out of its range.
        """
        start = start_message(self.name, prefetch, **settings)
        arrived = Event()
        stream = BACKGROUND.run(self._core.consume(start, arrived.set, on_lost))
        return Consumption(self._core, stream, arrived, prefetch)

    def receive(
        self,
        max_messages: int = 1,
        *,
        wait: float = 0.0,
        lock: float | None = None,
        auto_ack: bool = False,
        max_bytes: int = 0,
    ) -> list[Message]:
        """Gets messages once, under a lock that only time ends, so that they can be settled later, and elsewhere.

        Args:
            max_messages: at most so many.
            wait: seconds to wait for the first.
            lock: seconds after which they are given to somebody else unless they are settled; the queue's unless given.
            auto_ack: they are settled by this already.
            max_bytes: at most so many bytes, but always one message; 1 MiB unless given.

        Returns:
            What there is, nothing if that is nothing; `handle` of each is what to keep for settling it elsewhere.
        """
        return BACKGROUND.run(self._core.receive(Message, self, max_messages, wait, lock, auto_ack, max_bytes))

    # Settling, also by handles

    def ack(self, messages: Messages, *, wait: bool = False) -> None:
        """Messages, or those of handles, are done; see `Message.ack`."""
        self._settle(messages, None, wait)

    def nack(self, messages: Messages, *, retry_in: float | None = None, reason: str = "", wait: bool = False) -> None:
        """They have failed; see `Message.nack`."""
        self._settle(messages, failed(retry_in, reason), wait)

    def release(
        self,
        messages: Messages,
        *,
        position: Position = "original",
        retry_in: float | None = None,
        wait: bool = False,
    ) -> None:
        """Gives them back; see `Message.release`."""
        self._settle(messages, released(position, retry_in), wait)

    def reject(self, messages: Messages, reason: str = "", *, wait: bool = False) -> None:
        """They are of no use to anybody; see `Message.reject`."""
        self._settle(messages, rejected(reason), wait)

    def extend(self, messages: Messages, seconds: float, *, wait: bool = False) -> None:
        """They are still worked on; see `Message.extend`."""
        self._settle(messages, extended(seconds), wait)

    def flush(self, timeout: float | None = None) -> None:
        """Returns when everything sent, and everything said of received messages up to now, is durable.

        Consumptions have their own.

        Raises:
            MessageLost: a message was not held any more, and there is no `on_lost`; each is told once.
            TimeoutError: it took longer than `timeout` seconds.
        """
        if self._producer is not None:
            self._producer.flush(timeout)
        BACKGROUND.run(self._core.flush(), timeout)

    def close(self) -> None:
        """Ends consumptions and sending, when what is under way is durable."""
        if not self._is_closed:
            self._is_closed = True
            try:
                if self._producer is not None:
                    self._producer.close()
            finally:
                BACKGROUND.run(self._core.close())
                BACKGROUND.release(self._user)

    def __enter__(self) -> "Queue":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._is_closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    def _open_producer(self) -> Producer[bytes, bytes]:
        with self._lock:
            if self._is_closed:
                raise client_closed(f"the queue {self.name} is closed")
            if self._producer is None:
                self._producer = Producer(self._address, **self._settings)
            return self._producer

    def _settle(self, messages: Messages, verdict: Verdict | None, wait: bool) -> None:
        several: Iterable[Message | str] = (messages,) if isinstance(messages, Message | str) else messages
        found = list(several)
        handles = [each for each in found if isinstance(each, str)]
        settled = [each for each in found if not isinstance(each, str)]
        if handles:
            settled += BACKGROUND.run(self._core.by_handles(Message, self, handles))
        settle_all(settled, verdict)
        if wait:
            for outbox in {message[0].outbox: None for message in settled}:
                BACKGROUND.run(outbox.flushed())
