"""A Kafka client of nothing but frames, over the simulated network."""

import asyncio
from collections.abc import Mapping
from struct import Struct as Packed
from typing import Any, Final

from logserver.kafka_api.codec import (
    Struct,
    header_is_flexible,
    read_response,
    response_header_is_flexible,
    write_request,
)
from logserver.simulation.network import Network
from logserver.simulation.node import KAFKA_PORT

PRODUCE: Final = 0
FETCH: Final = 1
OFFSET_COMMIT: Final = 8
OFFSET_FETCH: Final = 9
JOIN_GROUP: Final = 11
HEARTBEAT: Final = 12
LEAVE_GROUP: Final = 13
SYNC_GROUP: Final = 14
CREATE_TOPICS: Final = 19
DELETE_TOPICS: Final = 20
DELETE_RECORDS: Final = 21
INIT_PRODUCER_ID: Final = 22
ADD_PARTITIONS: Final = 24
ADD_OFFSETS: Final = 25
END_TXN: Final = 26
TXN_OFFSET_COMMIT: Final = 28
INCREMENTAL_ALTER_CONFIGS: Final = 44
CONSUMER_GROUP_HEARTBEAT: Final = 68
SHARE_GROUP_HEARTBEAT: Final = 76
SHARE_FETCH: Final = 78
SHARE_ACKNOWLEDGE: Final = 79

_HEAD: Final = Packed(">hhih")
_INT: Final = Packed(">i")
_PATIENCE_S: Final = 8.0


class Lost(Exception):
    """Nobody answered; whether the request was carried out is not known."""


class _Stream(asyncio.Protocol):
    """The bytes of a connection, as frames."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= _INT.size:
            (size,) = _INT.unpack_from(self._data)
            if len(self._data) < _INT.size + size:
                return
            frame = bytes(self._data[_INT.size : _INT.size + size])
            del self._data[: _INT.size + size]
            (correlation_id,) = _INT.unpack_from(frame)
            waiter = self.waiting.pop(correlation_id, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        waiting, self.waiting = self.waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                waiter.set_exception(Lost("the connection was lost"))


class KafkaClient:
    """One client with one connection at a time, which is made anew when it is lost."""

    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name
        self._stream: _Stream | None = None
        self._transport: Any = None
        self._next_id = 0
        # Requests go out in the order in which they were made, also those that wait for the connection.
        self._sending = asyncio.Lock()

    async def call(self, api_key: int, version: int, message: Mapping[str, Any]) -> Struct:
        """Sends a request and returns its response.

        Raises:
            Lost: there was none.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._call(api_key, version, message)
        except TimeoutError:
            self.close()
            raise Lost("no answer in time") from None

    async def _call(self, api_key: int, version: int, message: Mapping[str, Any]) -> Struct:
        async with self._sending:
            stream = await self._connected()
            self._next_id += 1
            name = self._name.encode()
            tags = b"\x00" if header_is_flexible(api_key, version) else b""
            head = _HEAD.pack(api_key, version, self._next_id, len(name))
            frame = b"".join((head, name, tags, write_request(api_key, version, message)))
            waiter = stream.waiting[self._next_id] = asyncio.get_running_loop().create_future()
            self._transport.write(_INT.pack(len(frame)) + frame)
        answer = await waiter
        behind = _INT.size + (1 if response_header_is_flexible(api_key, version) else 0)
        return read_response(api_key, version, memoryview(answer)[behind:])

    async def _connected(self) -> _Stream:
        stream = self._stream
        if stream is None or stream.is_lost:
            stream = _Stream()
            try:
                self._transport = await self._network.connect(stream, KAFKA_PORT)
            except ConnectionRefusedError:
                raise Lost("nobody listens") from None
            self._stream = stream
        return stream

    def close(self) -> None:
        """Closes the connection."""
        if self._stream is not None:
            self._stream = None
            self._transport.close()
