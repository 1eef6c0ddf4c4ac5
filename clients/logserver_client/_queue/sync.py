"""What a synchronous queue hands out: messages, and consumptions that they come from."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Event, Lock
from types import TracebackType
from typing import TypeVar

from logserver_client._background import BACKGROUND
from logserver_client._queue.config import (
    check_prefetch,
)
from logserver_client._queue.core import Hold, QueueCore
from logserver_client._queue.message import (
    BaseMessage,
    Position,
    settle_all,
)
from logserver_client._queue.reader import Reader
from logserver_client._queue.stream import ConsumeStream
from logserver_client.errors import LogServerError

_log = logging.getLogger("logserver_client")

T = TypeVar("T")


class Message(BaseMessage):
    """A message of a synchronous queue; see `BaseMessage` for what it has.

    `wait=True` returns when what was said is durable, and raises MessageLost if the message was not held any more.
    """

    __slots__ = ()

    def ack(self, *, wait: bool = False) -> None:
        """It is done."""
        self[0].settle(self, self)
        if wait:
            self.settled()

    def nack(self, *, retry_in: float | None = None, reason: str = "", wait: bool = False) -> None:
        """It has failed; see `BaseMessage.nack`."""
        super().nack(retry_in=retry_in, reason=reason)
        if wait:
            self.settled()

    def release(self, *, position: Position = "original", retry_in: float | None = None, wait: bool = False) -> None:
        """Gives it back; see `BaseMessage.release`."""
        super().release(position=position, retry_in=retry_in)
        if wait:
            self.settled()

    def reject(self, reason: str = "", *, wait: bool = False) -> None:
        """It is of no use to anybody; see `BaseMessage.reject`."""
        super().reject(reason)
        if wait:
            self.settled()

    def extend(self, seconds: float, *, wait: bool = False) -> None:
        """It is still worked on; see `BaseMessage.extend`."""
        super().extend(seconds)
        if wait:
            self.settled()

    def settled(self, timeout: float | None = None) -> None:
        """Returns when what was said of it is durable.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            MessageLost: it was not held any more.
            TimeoutError: it took longer.
        """
        BACKGROUND.run(self[0].outbox.settled(self), timeout)


Messages = Message | str | Iterable[Message | str]
"""A message, the handle of one, or several of them."""


class Consumption:
    """Messages of a queue as they come; made by `Queue.consume`. Safe for threads.

        with queue.consume(prefetch=10) as messages:
            for message in messages:
                work_on(message.value)
                message.ack()

    It ends with `close`, or when neither it nor a message of it is known to anybody any more; what is held then is
    given back.
    """

    def __init__(self, core: QueueCore, stream: ConsumeStream, arrived: Event, prefetch: int) -> None:
        self._core = core
        self._stream = stream
        self._arrived = arrived
        self._prefetch = prefetch
        self._reader: Reader[Message] = Reader(stream, Message, Hold(core, stream))
        self._lock = Lock()
        self._is_stopped = False
        self._gave_back = False
        self._is_closed = False

    @property
    def prefetch(self) -> int:
        """How many messages may be here that nothing was said of; may be changed."""
        return self._prefetch

    @prefetch.setter
    def prefetch(self, prefetch: int) -> None:
        BACKGROUND.run(self._stream.change_prefetch(check_prefetch(prefetch)))
        self._prefetch = prefetch

    @property
    def lost(self) -> int:
        """How many messages were not held any more when they were settled."""
        return self._stream.outbox.lost

    def __iter__(self) -> Iterator[Message]:
        """Yields messages until `stop`; a later iteration goes on where the one before was left.

        Raises:
            LogServerError: nothing comes any more: the queue was deleted, another consumer is exclusive, `close` was
                called.
            CorruptMessage: the bytes of a message are damaged.
        """
        while (found := self._turn(self._reader.rest, None)) is not None:
            session, rest = found
            for message in rest:
                if session.is_lost:
                    break
                yield message
                if self._is_stopped:
                    break

    def batches(self) -> Iterator[list[Message]]:
        """Yields lists of messages of one partition until `stop`: the fastest way, together with `ack` for all."""
        while True:
            messages = self._turn(self._reader.take, None)
            if messages is None:
                return
            yield messages

    def get(self, timeout: float | None = None) -> Message | None:
        """Returns the next message, None if none has come in time, or after `stop`.

        Args:
            timeout: seconds; None waits as long as it takes, 0 not at all.

        Raises:
            LogServerError: as iterating.
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        return self._turn(self._reader.next, deadline_s)

    def ack(self, messages: Iterable[Message], *, wait: bool = False) -> None:
        """These messages are done; consecutive ones cost hardly more than one.

        Raises:
            MessageLost: one was settled before; with `wait`, one was not held any more.
        """
        settle_all(messages, None)
        if wait:
            self.flush()

    def flush(self, timeout: float | None = None) -> None:
        """Returns when everything that was said of messages up to now is durable.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            MessageLost: a message was not held any more, and there is no `on_lost`; each is told once.
            TimeoutError: it took longer.
        """
        BACKGROUND.run(self._stream.outbox.flushed(), timeout)

    def stop(self) -> None:
        """Hands out nothing any more: iterations end, and `get` returns None. What is in hand can still be settled.

        What has come and was not handed out is given back as soon as possible. This waits for nothing, so a signal
        handler may call it, too.
        """
        self._is_stopped = True
        # The thread that a signal handler has interrupted may hold any lock: everything else is done by another one.
        if not self._stream.loop.is_closed():
            self._stream.loop.call_soon_threadsafe(self._stopped)

    def close(self) -> None:
        """Waits until what was said is durable, gives back what nothing was said of, and ends."""
        if not self._is_closed:
            self._is_closed = True
            BACKGROUND.run(self._core.end(self._stream))

    def __enter__(self) -> "Consumption":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _stopped(self) -> None:
        self._stream.hold_at_most(1)
        self._arrived.set()
        self._give_back_rest()

    def _give_back_rest(self) -> None:
        """Gives back what was not handed out, unless somebody is at it: they do it when they are done."""
        if self._gave_back or not self._lock.acquire(blocking=False):
            return
        try:
            self._gave_back = True
            self._reader.give_back()
        except LogServerError as error:
            # What is held when the stream has ended is given back by that.
            _log.info("messages are given back with their stream queue=%s reason=%s", self._core.config.name, error)
        finally:
            self._lock.release()

    def _turn(self, take: Callable[[], T | None], deadline_s: float | None) -> T | None:
        """Does as `_next` when nobody else is at it."""
        timeout_s = -1.0 if deadline_s is None else max(deadline_s - time.monotonic(), 0)
        if not self._lock.acquire(timeout=timeout_s):
            return None
        try:
            return self._next(take, deadline_s)
        finally:
            self._lock.release()
            if self._is_stopped:
                self._give_back_rest()

    def _next(self, take: Callable[[], T | None], deadline_s: float | None) -> T | None:
        """Returns what `take` does as soon as that is something; None if it is too late, or after `stop`."""
        while not self._is_stopped:
            self._arrived.clear()
            if self._is_stopped:
                break
            found = take()
            if found is not None:
                return found
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            self._arrived.wait(left_s)
        return None
