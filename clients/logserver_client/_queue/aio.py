"""What an asyncio queue hands out: messages, and consumptions that they come from."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import TracebackType

from logserver_client._queue.config import (
    ConsumeSettings,
    check_prefetch,
    start_message,
)
from logserver_client._queue.core import Hold, QueueCore
from logserver_client._queue.message import (
    BaseMessage,
    settle_all,
)
from logserver_client._queue.outbox import OnLost
from logserver_client._queue.reader import Reader
from logserver_client._queue.stream import ConsumeStream
from logserver_client.errors import client_closed


class Message(BaseMessage):
    """A message of an asyncio queue; see `BaseMessage` for what it has.

    What is said of it goes out by itself; `await message.settled()` for when it matters that it is durable.
    """

    __slots__ = ()

    async def settled(self) -> None:
        """Returns when what was said of it is durable.

        Raises:
            MessageLost: it was not held any more.
        """
        await self[0].outbox.settled(self)


Messages = Message | str | Iterable[Message | str]
"""A message, the handle of one, or several of them."""


class Consumption:
    """Messages of a queue as they come; made by `Queue.consume`.

        async with queue.consume(prefetch=10) as messages:
            async for message in messages:
                await work_on(message.value)
                message.ack()

    It begins when it is entered, or iterated over first, and ends with `close`, or when neither it nor a message of it
    is known to anybody any more; what is held then is given back.
    """

    def __init__(self, core: QueueCore, prefetch: int, on_lost: OnLost | None, settings: ConsumeSettings) -> None:
        self._core = core
        self._prefetch = check_prefetch(prefetch)
        self._on_lost = on_lost
        self._start = start_message(core.config.name, prefetch, **settings)
        self._arrived = asyncio.Event()
        self._lock = asyncio.Lock()
        self._stream: ConsumeStream | None = None
        self._reader: Reader[Message] | None = None
        self._is_stopped = False
        self._is_closed = False

    @property
    def prefetch(self) -> int:
        """How many messages may be here that nothing was said of."""
        return self._prefetch

    async def change_prefetch(self, prefetch: int) -> None:
        """Holds so many messages at most from now on."""
        self._prefetch = check_prefetch(prefetch)
        stream, _ = await self._begun()
        await stream.change_prefetch(prefetch)

    @property
    def lost(self) -> int:
        """How many messages were not held any more when they were settled."""
        return 0 if self._stream is None else self._stream.outbox.lost

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Yields messages until `stop`; errors are those of the synchronous iteration."""
        _, reader = await self._begun()
        while not self._is_stopped:
            self._arrived.clear()
            found = reader.rest()
            if found is None:
                await self._arrived.wait()
                continue
            session, rest = found
            for message in rest:
                if session.is_lost:
                    break
                yield message
                if self._is_stopped:
                    break
            # A loop of messages that are there must let what is said of them go out.
            await asyncio.sleep(0)

    async def batches(self) -> AsyncIterator[list[Message]]:
        """Yields lists of messages of one partition until `stop`: the fastest way, together with `ack` for all."""
        _, reader = await self._begun()
        while not self._is_stopped:
            self._arrived.clear()
            messages = reader.take()
            if messages is None:
                await self._arrived.wait()
                continue
            yield messages
            await asyncio.sleep(0)

    async def get(self, timeout: float | None = None) -> Message | None:  # noqa: ASYNC109
        """Returns the next message, None if none has come in time, or after `stop`; several tasks may wait.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            LogServerError: as iterating.
        """
        reader = self._reader
        if reader is None:
            _, reader = await self._begun()
        # What is there needs no turns among those who wait, which take longer than most of what is done with it.
        message = None if self._is_stopped else reader.next()
        if message is not None:
            return message
        try:
            async with asyncio.timeout(timeout), self._lock:
                while not self._is_stopped:
                    self._arrived.clear()
                    message = reader.next()
                    if message is not None:
                        return message
                    await self._arrived.wait()
        except TimeoutError:
            pass
        return None

    def ack(self, messages: Iterable[Message]) -> None:
        """These messages are done; consecutive ones cost hardly more than one.

        Raises:
            MessageLost: one was settled before.
        """
        settle_all(messages, None)

    async def flush(self) -> None:
        """Returns when everything that was said of messages up to now is durable.

        Raises:
            MessageLost: a message was not held any more, and there is no `on_lost`; each is told once.
        """
        if self._stream is not None:
            await self._stream.outbox.flushed()

    async def stop(self) -> None:
        """Hands out nothing any more: iterations end, and `get` returns None. What is in hand can still be settled.

        What has come and was not handed out is given back as soon as possible.
        """
        self._is_stopped = True
        self._arrived.set()
        if self._stream is not None and self._reader is not None:
            await self._stream.change_prefetch(1)
            self._reader.give_back()

    async def close(self) -> None:
        """Waits until what was said is durable, gives back what nothing was said of, and ends."""
        self._is_closed = True
        if self._stream is not None:
            await self._core.end(self._stream)

    async def __aenter__(self) -> "Consumption":
        await self._begun()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _begun(self) -> tuple[ConsumeStream, Reader[Message]]:
        if self._stream is None or self._reader is None:
            async with self._lock:
                if self._is_closed:
                    raise client_closed("the consumption is closed")
                if self._stream is None or self._reader is None:
                    self._stream = await self._core.consume(self._start, self._arrived.set, self._on_lost)
                    self._reader = Reader(self._stream, Message, Hold(self._core, self._stream))
        return self._stream, self._reader
