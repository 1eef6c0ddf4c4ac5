"""The asyncio form of `replay`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from operator import length_hint
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack, overload

from logserver_client._consume.config import ConsumerSettings, consumer_config
from logserver_client._consume.core import raise_closed
from logserver_client._consume.range import OffsetRange
from logserver_client._consume.replay import ReplayCore
from logserver_client.types import Position, Record, TopicPartition

K = TypeVar("K")
V = TypeVar("V")


class Replay(Generic[K, V]):
    """A range of a topic on its way; see `logserver_client.Replay`. The ranges are known once iteration has begun.

    Attributes:
        records: how many have been handed out.
        ranges: partition -> offsets it is read from (inclusive) and to (exclusive).
        skipped: partitions that end before the offset to start from.
        shortened: partitions whose log starts behind the offset to start from.
    """

    def __init__(self, core: Callable[[Callable[[], None]], ReplayCore]) -> None:
        self._arrived = asyncio.Event()
        self._core = core(self._arrived.set)
        self._is_started = False

    @property
    def records(self) -> int:
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

    async def start(self) -> None:
        """Works out the ranges and starts reading; iteration does it by itself.

        Raises:
            UnknownTopicOrPartition, OffsetOutOfRange, ValueError: as `replay`.
        """
        if not self._is_started:
            self._is_started = True
            try:
                await self._core.start()
            except BaseException:
                await self.close()
                raise

    async def __aiter__(self) -> AsyncIterator[Record[K, V]]:
        """Yields the records, then closes the replay; so does leaving the iteration."""
        core = self._core
        try:
            await self.start()
            while True:
                self._arrived.clear()
                piece = core.next_piece()
                if piece is None:
                    if core.is_done:
                        return
                    await self._wait()
                    continue
                before = length_hint(piece.rest)
                try:
                    for record in piece.rest:
                        yield record
                finally:
                    core.records += before - length_hint(piece.rest)
        finally:
            await self.close()

    async def close(self) -> None:
        """Stops reading."""
        await self._core.core.close()

    async def __aenter__(self) -> "Replay[K, V]":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _wait(self) -> None:
        if not self._core.core.is_closed:
            await self._arrived.wait()
        if self._core.core.is_closed:
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
    """Reads a range of a topic, once; `async for record in replay(...)`.

    Arguments and errors are those of the synchronous `logserver_client.replay`; errors come when iteration begins.
    """
    config = consumer_config(address, key_deserializer, value_deserializer, **settings)
    return Replay(lambda wake: ReplayCore(config, wake, topic, start, end, partition))
