"""A queue on a compacted topic: what compaction takes of it while it is worked on."""

from collections.abc import Iterator
from typing import Any

import pytest
from logserverpb.v1 import common_pb2, queues_pb2

from logserver.daemon import Daemon
from logserver.testing import LogServer

from .worker import Queues, Worker


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer() as server:
        yield server


@pytest.fixture
def queues(server: LogServer) -> Iterator[Queues]:
    with Queues(server.grpc) as queues:
        settings = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"}
        queues.stub.DeclareQueue(queues_pb2.DeclareQueueRequest(name="q", settings=settings), timeout=10)
        yield queues


def send(queues: Queues, value: bytes, key: bytes = b"k") -> None:
    records = common_pb2.RecordList(records=[common_pb2.Record(key=key, value=value)])
    queues.stub.Send(queues_pb2.SendRequest(queue="q", messages=records), timeout=10)


def compact(server: LogServer) -> None:
    """Compacts all that is stored of the queue, at once."""

    async def run(daemon: Daemon) -> None:
        partition: Any = daemon._broker.partition("q", 0)  # type: ignore[union-attr]
        partition.log.roll()
        directory = daemon.directories.online[0]
        directory._offsets.note_cleaned(("q", 0), 0)
        await directory.compact()
        for _, place in daemon._queues.places:  # type: ignore[union-attr]
            # What it has read lately it would go on with.
            place.reader.forget()

    server.call(run)


def test_what_was_given_back_and_is_gone_now_keeps_nobody_waiting(server: LogServer, queues: Queues) -> None:
    send(queues, b"0")
    send(queues, b"1")
    gone = Worker(queues, "q", 2)
    assert len(gone.take(2)) == 2
    gone.vanish()
    send(queues, b"2")
    compact(server)
    worker = Worker(queues, "q", 1)
    (message,) = worker.take()
    assert (message.offset, message.value) == (2, b"2")
    worker.settle(message.settlement())
    assert queues.counts("q") == (0, 0, 0, 0)
    (story,) = queues.stub.Explain(queues_pb2.ExplainRequest(topic="q", partition=0, offset=0), timeout=10).stories
    assert [event.kind for event in story.events][-2:] == ["acquired", "dropped"]


def test_what_is_received_comes_without_what_is_gone(server: LogServer, queues: Queues) -> None:
    for value, key in ((b"0", b"k"), (b"1", b"other"), (b"2", b"k")):
        send(queues, value, key)
    for message in queues.receive("q", 3, wait_ms=9_000):
        queues.settle("q", message.settlement(queues_pb2.OUTCOME_RELEASE))
    send(queues, b"3")
    compact(server)
    got: list[bytes] = []
    while len(got) < 2:
        got += [message.value for message in queues.receive("q", 3, wait_ms=9_000)]
    assert got == [b"1", b"3"]
