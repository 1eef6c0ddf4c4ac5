"""The buffer of a connection: it grows with what comes, and is small again when nothing comes."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logserver_segments.seams import Moved

from logserver.kafka_api import incoming
from logserver.kafka_api.abandoned import Abandoned
from logserver.kafka_api.connection import Connection
from logserver.kafka_api.listener import Listener
from logserver.kafka_api.services import Services
from logserver.settings import Address, load_settings

from .pipe import Pipe
from .raw_client import API_VERSIONS, request_frame

CLIENT = {"client_software_name": "raw", "client_software_version": "1"}


class Clock:
    """Stands still."""

    def now_ms(self) -> int:
        return 0

    def monotonic_ms(self) -> float:
        return 0.0

    def follow(self, moved: Moved) -> None: ...

    def unfollow(self, moved: Moved) -> None: ...


@pytest.fixture
async def pipe() -> Pipe:
    return Pipe()


def listener() -> Listener:
    unused: Any = None
    of_server = load_settings(environment={}, command_line=())
    services = Services(unused, unused, unused, unused, unused, Clock(), of_server, Clock(), unused)
    return Listener(services, "PLAINTEXT", Address("127.0.0.1", 9092), None, 1 << 24, 1 << 24, Abandoned(1 << 24))


@pytest.fixture
async def connection(pipe: Pipe) -> AsyncIterator[Connection]:
    connection = Connection(listener(), pipe, "127.0.0.1:5000", "127.0.0.1:9092")
    yield connection
    connection.close()


def feed(connection: Connection, data: bytes | memoryview) -> int:
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


def numbered(number: int, size: int) -> bytes:
    """A request with a correlation id, and so many bytes behind it."""
    frame = request_frame(API_VERSIONS, 3, CLIENT, number)[4:] + bytes(size)
    return len(frame).to_bytes(4) + frame


def frames(count: int, size: int = 0) -> bytes:
    """Requests with consecutive correlation ids, each with so many bytes behind it."""
    return b"".join(numbered(number, size) for number in range(count))


def answered(pipe: Pipe) -> list[int]:
    """The correlation ids of the responses sent."""
    data = pipe.sent
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


def own_bytes(connection: Connection) -> int:
    """How much a connection holds that it does not share with others."""
    data = connection._incoming.data
    return 0 if data is connection._listener.scratch.data else len(data)


async def test_a_connection_without_anything_to_say_has_no_buffer(connection: Connection, pipe: Pipe) -> None:
    assert connection.get_buffer() is connection._listener.scratch.view
    feed(connection, frames(500, 100))
    assert answered(pipe) == list(range(500))
    assert own_bytes(connection) == 0


async def test_what_is_there_of_a_frame_is_all_that_is_kept(connection: Connection, pipe: Pipe) -> None:
    data = frames(2, 5000)
    feed(connection, data[:-1000])
    assert own_bytes(connection) == len(data) // 2 - 1000
    feed(connection, data[-1000:])
    assert answered(pipe) == [0, 1]
    assert own_bytes(connection) == 0


async def test_a_client_that_sends_large_frames_gets_a_buffer_of_its_own(connection: Connection, pipe: Pipe) -> None:
    for _ in range(3):
        feed(connection, frames(1, 300_000))
        assert 300_000 < own_bytes(connection) <= 1 << 20
    assert answered(pipe) == [0, 0, 0]


async def test_a_length_that_is_only_claimed_takes_no_memory(connection: Connection, pipe: Pipe) -> None:
    feed(connection, (1 << 24).to_bytes(4) + bytes(100))
    assert own_bytes(connection) == 104
    feed(connection, bytes(100_000))
    assert own_bytes(connection) <= 1 << 18


async def test_a_buffer_that_is_not_used_any_more_is_given_back(
    connection: Connection, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_KEPT_MS", 0)
    feed(connection, frames(1, 300_000))
    for _ in range(20):
        await asyncio.sleep(0)
    assert own_bytes(connection) == 0
    feed(connection, frames(2, 10_000))
    assert answered(pipe) == [0, 0, 1]


@given(
    sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=6), cuts=st.lists(st.integers(1, 70_000), max_size=20)
)
@settings(max_examples=150, deadline=None)
def test_frames_of_connections_that_share_a_buffer_are_kept_apart(sizes: list[int], cuts: list[int]) -> None:
    async def run() -> None:
        shared = listener()
        pipes = [Pipe(), Pipe()]
        connections = [Connection(shared, pipe, "127.0.0.1:5000", "127.0.0.1:9092") for pipe in pipes]
        whole = b"".join(numbered(number, size) for number, size in enumerate(sizes))
        left = [memoryview(whole), memoryview(whole)]
        turns = itertools.cycle(cuts or [1000])
        while any(left):
            for place, connection in enumerate(connections):
                piece, left[place] = cut(left[place], next(turns))
                feed(connection, piece)
        for pipe, connection in zip(pipes, connections, strict=True):
            assert not pipe.is_closed
            assert answered(pipe) == list(range(len(sizes)))
            connection.close()

    asyncio.run(run())


def cut(data: memoryview, size: int) -> tuple[memoryview, memoryview]:
    return data[:size], data[size:]


async def test_a_frame_that_is_not_whole_yet_is_kept(
    connection: Connection, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_KEPT_MS", 0)
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
