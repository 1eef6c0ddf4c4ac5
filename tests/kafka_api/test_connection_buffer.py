"""The buffer of a connection: it grows with what comes, and is small again when nothing comes."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from logserver.kafka_api import connection as connection_module
from logserver.kafka_api.abandoned import Abandoned
from logserver.kafka_api.connection import Connection
from logserver.kafka_api.listener import Listener
from logserver.kafka_api.services import Services
from logserver.settings import Address, load_settings

from .raw_client import API_VERSIONS, request_frame

CLIENT = {"client_software_name": "raw", "client_software_version": "1"}
START_BYTES = 2048


class Pipe:
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    def writelines(self, chunks: Iterable[Any], /) -> None:
        self.sent += map(bytes, chunks)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class Clock:
    """Stands still."""

    def now_ms(self) -> int:
        return 0

    def monotonic_ms(self) -> float:
        return 0.0


@pytest.fixture
async def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
async def connection(pipe: Pipe) -> AsyncIterator[Connection]:
    unused: Any = None
    settings = load_settings(environment={}, command_line=())
    services = Services(unused, unused, unused, Clock(), settings)
    listener = Listener(services, "PLAINTEXT", Address("127.0.0.1", 9092), None, 1 << 24, 1 << 24, Abandoned(1 << 24))
    connection = Connection(listener, pipe, "127.0.0.1:5000", "127.0.0.1:9092")
    yield connection
    connection.close()


def feed(connection: Connection, data: bytes) -> int:
    """Hands data over as a socket does; returns the size of the largest buffer that was offered."""
    largest = 0
    left = memoryview(data)
    while left:
        buffer = connection.get_buffer()
        assert len(buffer)
        largest = max(largest, len(buffer))
        count = min(len(buffer), len(left))
        buffer[:count] = left[:count]
        left = left[count:]
        connection.received(count)
    return largest


def frames(count: int, size: int = 0) -> bytes:
    """Requests with consecutive correlation ids, each with so many bytes behind it."""
    whole = bytearray()
    for number in range(count):
        frame = request_frame(API_VERSIONS, 3, CLIENT, number)[4:] + bytes(size)
        whole += len(frame).to_bytes(4) + frame
    return bytes(whole)


def answered(pipe: Pipe) -> list[int]:
    """The correlation ids of the responses sent."""
    data = b"".join(pipe.sent)
    found = []
    while data:
        size = int.from_bytes(data[:4])
        found.append(int.from_bytes(data[4:8]))
        data = data[4 + size :]
    return found


@pytest.mark.parametrize("size", [0, 1, 900, 2000, 5000, 300_000])
async def test_frames_of_every_size_are_served(connection: Connection, pipe: Pipe, size: int) -> None:
    feed(connection, frames(20, size))
    assert answered(pipe) == list(range(20))


async def test_bytes_that_come_one_by_one(connection: Connection, pipe: Pipe) -> None:
    for byte in frames(3, 3000):
        feed(connection, bytes((byte,)))
    assert answered(pipe) == [0, 1, 2]


async def test_a_client_that_sends_much_at_a_time_is_read_in_larger_pieces(connection: Connection, pipe: Pipe) -> None:
    assert len(connection.get_buffer()) == START_BYTES
    assert START_BYTES < feed(connection, frames(5000)) <= 64 * 1024
    assert answered(pipe) == list(range(5000))


async def test_a_buffer_that_is_not_used_any_more_is_given_back(
    connection: Connection, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_KEPT_MS", 0)
    feed(connection, frames(1, 300_000))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(connection.get_buffer()) == START_BYTES
    feed(connection, frames(2, 10_000))
    assert answered(pipe) == [0, 0, 1]


async def test_a_frame_that_is_not_whole_yet_is_kept(
    connection: Connection, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_KEPT_MS", 0)
    data = frames(1, 300_000)
    feed(connection, data[:200_000])
    for _ in range(20):
        await asyncio.sleep(0)
    feed(connection, data[200_000:])
    assert answered(pipe) == [0]


async def test_a_client_that_does_not_read_waits_with_its_requests(connection: Connection, pipe: Pipe) -> None:
    connection.pause_writing()
    feed(connection, frames(30))
    assert answered(pipe) == []
    connection.resume_writing()
    assert answered(pipe) == list(range(30))
