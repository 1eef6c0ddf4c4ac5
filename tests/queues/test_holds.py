"""A queue that holds its topic keeps retention from what it has not settled, and only from that."""

from collections.abc import Iterator

import pytest
from logserver_client import AdminClient, Consumer, TopicPartition

from logserver.testing import LogServer

from .worker import Queues, Worker

HOUR_S = 3600


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer() as server, AdminClient(server.grpc) as admin:
        admin.create_topic("q", settings={"retention.ms": "60000", "segment.bytes": "1048576"})
        yield server


def first_offset(server: LogServer) -> int:
    with Consumer(server.grpc) as consumer:
        return consumer.beginning_offsets([("q", 0)])[TopicPartition("q", 0)]


def fill(queues: Queues, name: str = "q") -> None:
    for number in range(8):
        queues.send(name, *(bytes(100_000) for _ in range(4)), b"%d" % number)


def test_records_that_are_not_settled_stay_and_go_when_they_are(server: LogServer) -> None:
    with Queues(server.grpc) as queues:
        queues.declare("q", hold=True)
        fill(queues)
        worker = Worker(queues, "q", 12)
        found = worker.take(12)
        server.clock.advance(HOUR_S)
        assert first_offset(server) == 0
        assert queues.counts("q") == (28, 0, 12, 0)
        worker.prefetch(13)
        worker.settle(*(message.settlement() for message in found))
        worker.close()
        server.clock.advance(HOUR_S)
        assert 0 < first_offset(server) <= 12
        assert sum(queues.counts("q")) == 28


def test_without_a_hold_what_is_too_old_goes_and_is_not_delivered(server: LogServer) -> None:
    with Queues(server.grpc) as queues:
        queues.declare("q")
        fill(queues)
        server.clock.advance(HOUR_S)
        assert first_offset(server) == 40
        assert sum(queues.counts("q")) == 0


def test_a_hold_ends_when_it_is_taken_back_or_the_queue_is_deleted(server: LogServer) -> None:
    with Queues(server.grpc) as queues:
        queues.declare("q", hold=True)
        fill(queues)
        queues.declare("q", hold=False)
        server.clock.advance(HOUR_S)
        assert first_offset(server) == 40


def test_a_share_group_holds_nothing(server: LogServer) -> None:
    with Queues(server.grpc) as queues:
        worker = Worker(queues, "q/readers", 12)
        fill(queues, "q/readers")
        found = worker.take(12)
        assert queues.counts("q/readers") == (28, 0, 12, 0)
        server.clock.advance(HOUR_S)
        assert first_offset(server) == 40
        assert sum(queues.counts("q/readers")) == 0
        assert worker.settle(*(message.settlement() for message in found)) == list(range(12))
