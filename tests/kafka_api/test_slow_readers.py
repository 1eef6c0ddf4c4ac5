"""A client that asks for much and reads little: what waits for it in memory is bounded."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from logserver.daemon import Daemon
from logserver.kafka_api.connection import Connection
from logserver.testing import LogServer

from .fetching import fetch_request
from .raw_client import FETCH, RawClient, request_frame
from .records import batch, create_topic, stored

T = TypeVar("T")
LARGE = 400_000
REQUESTS = 300
WRITE_LIMIT = 1 << 20


class SlowPipe:
    """A transport whose other end reads when it is told to."""

    def __init__(self) -> None:
        self.connection: Connection
        self.unread = self.total = 0
        self.highest = 0
        self.is_reading = True

    def writelines(self, chunks: Iterable[Any], /) -> None:
        size = sum(map(len, chunks))
        self.unread += size
        self.total += size
        self.highest = max(self.highest, self.unread)
        if self.unread > WRITE_LIMIT:
            self.connection.pause_writing()

    def read(self) -> None:
        self.unread = 0
        self.connection.resume_writing()

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def close(self) -> None: ...

    def abort(self) -> None: ...


def run(server: LogServer, function: Callable[[Any], T]) -> T:
    async def run(daemon: Daemon) -> T:
        return function(daemon)

    return server.call(run)


def asked(offset: int, **more: Any) -> bytes:
    partition = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
    session = {"session_id": 0, "session_epoch": -1}
    message = fetch_request({"topic": "t", "partitions": [partition]}, **(session | more))
    return request_frame(FETCH, 12, message)


def connect(daemon: Any, **more: int) -> tuple[Connection, SlowPipe]:
    pipe = SlowPipe()
    listener = next(iter(daemon._kafka._connections)).connection._listener
    connection = pipe.connection = Connection(replace(listener, **more), pipe, "127.0.0.1:5000", "127.0.0.1:9092")
    return connection, pipe


def feed(connection: Connection, data: bytes) -> None:
    room = connection.get_buffer()
    room[: len(data)] = data
    connection.received(len(data))


# A session sends a fetch the long way.
@pytest.mark.parametrize("session_epoch", [-1, 0])
def test_responses_are_made_as_they_are_read(server: LogServer, client: RawClient, session_epoch: int) -> None:
    create_topic(server)
    stored(client, batch("x" * LARGE))

    def ask(daemon: Any) -> tuple[Connection, SlowPipe]:
        connection, pipe = connect(daemon)
        feed(connection, asked(0, session_epoch=session_epoch) * REQUESTS)
        return connection, pipe

    connection, pipe = run(server, ask)

    def read(daemon: Any) -> int:
        assert pipe.highest < WRITE_LIMIT + (2 << 20)
        pipe.read()
        return pipe.total

    while run(server, read) < REQUESTS * LARGE:
        pass
    assert connection.unsent_bytes == connection._unanswered_bytes == 0
    run(server, lambda daemon: connection.closed())


def test_responses_behind_one_that_is_waited_for_are_bounded(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("x" * LARGE))

    def ask(daemon: Any) -> tuple[Connection, SlowPipe]:
        connection, pipe = connect(daemon, inflight_max_bytes=3 << 20)
        feed(connection, asked(1, max_wait_ms=60_000) + asked(0) * REQUESTS)
        assert not pipe.unread
        assert not pipe.is_reading
        assert LARGE < connection.unsent_bytes < 5 << 20
        return connection, pipe

    connection, pipe = run(server, ask)
    # The first is answered, and the others go on.
    stored(client, batch("y"))
    while not run(server, lambda daemon: pipe.unread):
        pass

    def read(daemon: Any) -> int:
        assert pipe.highest < 5 << 20
        pipe.read()
        return pipe.total

    while run(server, read) < REQUESTS * LARGE:
        pass
    assert connection.unsent_bytes == connection._unanswered_bytes == 0
    run(server, lambda daemon: connection.closed())
