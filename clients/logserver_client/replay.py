"""A range of a topic, from one place to another."""

import warnings
from collections.abc import Callable, Iterator
from operator import length_hint
from threading import Event
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack, overload

from logserver_client._background import BACKGROUND
from logserver_client._consume.config import ConsumerSettings, consumer_config
from logserver_client._consume.core import raise_closed
from logserver_client._consume.range import OffsetRange
from logserver_client._consume.replay import ReplayCore
from logserver_client.types import Position, Record, TopicPartition

K = TypeVar("K")
V = TypeVar("V")


class Replay(Generic[K, V]):
    """A range of a topic on its way: iterate over it, once.

    Partitions are read at the same time, each in its order. It is closed at the end of the iteration, and when that is
    left; without iterating, use it as a context manager or call `close`.

    Attributes:
        ranges: partition -> offsets it is read from (inclusive) and to (exclusive).
        skipped: partitions that end before the offset to start from.
        shortened: partitions whose log starts behind the offset to start from: records there have been deleted.
    """

    def __init__(self, core: Callable[[Callable[[], None]], ReplayCore]) -> None:
        self._is_closed = True
        self._arrived = Event()
        self._core = core(self._arrived.set)
        self._user = BACKGROUND.acquire(self._core.core.close)
        self._is_closed = False
        try:
            BACKGROUND.run(self._core.start())
        except BaseException:
            self.close()
            raise

    @property
    def records(self) -> int:
        """How many records have been handed out."""
        return self._core.records

    @property
    def bytes(self) -> int:
        """Bytes of keys and values read so far."""
        return self._core.bytes

    @property
    def ranges(self) -> dict[TopicPartition, OffsetRange]:
        return self._core.ranges

    @property
    def skipped(self) -> list[TopicPartition]:
        return self._core.skipped

    @property
    def shortened(self) -> list[TopicPartition]:
        return self._core.shortened

    def __iter__(self) -> Iterator[Record[K, V]]:
        """Yields the records, then closes the replay; so does leaving the iteration.

        Raises:
            OffsetOutOfRange, CorruptMessage, SerializationError: a partition can't be read to its end.
            ClientClosed: the replay has been closed.
        """
        core = self._core
        try:
            while True:
                self._arrived.clear()
                piece = core.next_piece()
                if piece is None:
                    if core.is_done:
                        return
                    self._wait()
                    continue
                before = length_hint(piece.rest)
                try:
                    yield from piece.rest
                finally:
                    core.records += before - length_hint(piece.rest)
        finally:
            self.close()

    def close(self) -> None:
        """Stops reading."""
        if not self._is_closed:
            self._is_closed = True
            BACKGROUND.run(self._core.core.close())
            BACKGROUND.release(self._user)

    def __enter__(self) -> "Replay[K, V]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._is_closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    def _wait(self) -> None:
        if not self._is_closed:
            self._arrived.wait()
        if self._is_closed:
            raise_closed()


@overload
def replay(
    address: str,
    topic: str,
    start: Position = "earliest",
    end: Position | None = None,
    *,
    partition: int | None = None,
    **settings: Unpack[ConsumerSettings],
) -> Replay[bytes, bytes]: ...


@overload
def replay(
    address: str,
    topic: str,
    start: Position = "earliest",
    end: Position | None = None,
    *,
    partition: int | None = None,
    key_deserializer: Callable[[bytes], K],
    **settings: Unpack[ConsumerSettings],
) -> Replay[K, bytes]: ...


@overload
def replay(
    address: str,
    topic: str,
    start: Position = "earliest",
    end: Position | None = None,
    *,
    partition: int | None = None,
    value_deserializer: Callable[[bytes], V],
    **settings: Unpack[ConsumerSettings],
) -> Replay[bytes, V]: ...


@overload
def replay(
    address: str,
    topic: str,
    start: Position = "earliest",
    end: Position | None = None,
    *,
    partition: int | None = None,
    key_deserializer: Callable[[bytes], K],
    value_deserializer: Callable[[bytes], V],
    **settings: Unpack[ConsumerSettings],
) -> Replay[K, V]: ...


def replay(
    address: str,
    topic: str,
    start: Position = "earliest",
    end: Position | None = None,
    *,
    partition: int | None = None,
    key_deserializer: Callable[[bytes], Any] | None = None,
    value_deserializer: Callable[[bytes], Any] | None = None,
    **settings: Unpack[ConsumerSettings],
) -> Replay[Any, Any]:
    """Reads a range of a topic, once, and touches no group.

        for record in replay("127.0.0.1:50051", "flights", start=datetime(2013, 1, 1, tzinfo=UTC)):
            ...

    Where the range ends is settled at the start: what is stored meanwhile is not part of it, and nothing is waited for.

    Args:
        address: HOST:PORT of a server.
        start: the first record (inclusive): "earliest", "latest", an offset, or a time.
        end: where to end (exclusive): the same, None for each partition's high watermark at the start. An offset
            beyond that counts as that.
        partition: only this one. Without it an offset applies to each partition: those that end before it are skipped
            (`Replay.skipped`), those from which it has been deleted start at their beginning (`Replay.shortened`).
        settings: as `Consumer`.

    Raises:
        UnknownTopicOrPartition: there is no such topic or partition.
        OffsetOutOfRange: the offset to start from is outside of the partition, or beyond the end of each of them.
        ValueError: the end is before the start, or a position makes no sense.
        ConnectionFailed, RequestTimedOut: nobody answered.
    """
    config = consumer_config(address, key_deserializer, value_deserializer, **settings)
    return Replay(lambda wake: ReplayCore(config, wake, topic, start, end, partition))
