"""The asyncio queue."""

import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Unpack

from logserver_client._produce.batch import OnDelivery
from logserver_client._produce.config import ProducerSettings
from logserver_client._queue.aio import Consumption, Message, Messages
from logserver_client._queue.config import (
    DEFAULT_PREFETCH,
    ConsumeSettings,
    queue_config,
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
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.aio.producer import Deliveries, Producer, RecordFuture
from logserver_client.errors import client_closed
from logserver_client.types import Headers


class Queue:
    """A queue of messages, which are given to those who share the work on them, each until it is settled.

        async with Queue("127.0.0.1:50051", "mails") as queue:
            await queue.send(b"to all")
            async for message in queue.consume(prefetch=10):
                await work_on(message.value)
                message.ack()

    Arguments, guarantees and errors are those of the synchronous `logserver_client.Queue`; `on_lost` is called in the
    event loop.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        name: str = "",
        *,
        on_lost: OnLost | None = None,
        **settings: Unpack[ProducerSettings],
    ) -> None:
        config = queue_config(address, name, settings)
        self.name = name
        self._address = address
        self._topic = config.topic
        self._settings = settings
        self._producer: Producer[bytes, bytes] | None = None
        self._core = QueueCore(config, on_lost, has_threads=False)
        self._is_closed = False

    # Sending

    async def send(
        self,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> RecordFuture:
        """Sends a message, many in a batch; returns once it is there, with a future to await for the rest."""
        return await (self._producer or self._open_producer()).send(
            self._topic,
            value,
            key=key,
            headers=headers,
            partition=partition,
            timestamp_ms=timestamp_ms,
            on_delivery=on_delivery,
        )

    async def send_many(
        self,
        values: Iterable[bytes | None],
        *,
        keys: Iterable[bytes | None] | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Deliveries:
        """Sends many messages, as `send` for each at a fraction of its cost; see `Producer.send_many`."""
        return await (self._producer or self._open_producer()).send_many(
            self._topic, values, keys=keys, headers=headers, partition=partition, timestamp_ms=timestamp_ms
        )

    # Getting

    def consume(
        self, prefetch: int = DEFAULT_PREFETCH, *, on_lost: OnLost | None = None, **settings: Unpack[ConsumeSettings]
    ) -> Consumption:
        """Gets messages as they come, from when it is entered or iterated over; see the synchronous `consume`.

        Raises:
            ValueError: a setting is out of its range.
        """
        return Consumption(self._core, prefetch, on_lost, settings)

    async def receive(
        self,
        max_messages: int = 1,
        *,
        wait: float = 0.0,
        lock: float | None = None,
        auto_ack: bool = False,
        max_bytes: int = 0,
    ) -> list[Message]:
        """Gets messages once, under a lock that only time ends; see the synchronous `receive`."""
        return await self._core.receive(Message, self, max_messages, wait, lock, auto_ack, max_bytes)

    # Settling, also by handles

    async def ack(self, messages: Messages, *, wait: bool = False) -> None:
        """Messages, or those of handles, are done.

        Args:
            wait: return when that is durable.

        Raises:
            MessageLost: one was settled before; with `wait`, one was not held any more.
        """
        await self._settle(messages, None, wait)

    async def nack(
        self, messages: Messages, *, retry_in: float | None = None, reason: str = "", wait: bool = False
    ) -> None:
        """They have failed; see `Message.nack`."""
        await self._settle(messages, failed(retry_in, reason), wait)

    async def release(
        self,
        messages: Messages,
        *,
        position: Position = "original",
        retry_in: float | None = None,
        wait: bool = False,
    ) -> None:
        """Gives them back; see `Message.release`."""
        await self._settle(messages, released(position, retry_in), wait)

    async def reject(self, messages: Messages, reason: str = "", *, wait: bool = False) -> None:
        """They are of no use to anybody; see `Message.reject`."""
        await self._settle(messages, rejected(reason), wait)

    async def extend(self, messages: Messages, seconds: float, *, wait: bool = False) -> None:
        """They are still worked on; see `Message.extend`."""
        await self._settle(messages, extended(seconds), wait)

    async def flush(self) -> None:
        """Returns when everything sent, and everything said of received messages up to now, is durable.

        Consumptions have their own.

        Raises:
            MessageLost: a message was not held any more, and there is no `on_lost`; each is told once.
        """
        if self._producer is not None:
            await self._producer.flush()
        await self._core.flush()

    async def close(self) -> None:
        """Ends consumptions and sending, when what is under way is durable."""
        self._is_closed = True
        try:
            if self._producer is not None:
                await self._producer.close()
        finally:
            await self._core.close()

    async def __aenter__(self) -> "Queue":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None and core.is_open:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    def _open_producer(self) -> Producer[bytes, bytes]:
        if self._is_closed:
            raise client_closed(f"the queue {self.name} is closed")
        if self._producer is None:
            self._producer = Producer(self._address, **self._settings)
        return self._producer

    async def _settle(self, messages: Messages, verdict: Verdict | None, wait: bool) -> None:
        several: Iterable[Message | str] = (messages,) if isinstance(messages, Message | str) else messages
        found = list(several)
        settled = [each for each in found if not isinstance(each, str)]
        settled += await self._core.by_handles(Message, self, [each for each in found if isinstance(each, str)])
        settle_all(settled, verdict)
        if wait:
            for outbox in {message[0].outbox: None for message in settled}:
                await outbox.flushed()
