"""What a test can do to a server reaches its queues: a clock that moves on, calls that fail, connections that end."""

from collections.abc import Iterator

import pytest
from logserver_client import LogServerError, Queue, Queues

from logserver.testing import LogServer

HOUR_S = 3_600


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer() as server, Queues(server.grpc) as queues:
        queues.declare("q", retry_delay=HOUR_S, max_deliveries=3, dead_letter_topic="q.dead")
        yield server


def test_a_policy_of_hours_is_tried_at_once(server: LogServer) -> None:
    with Queue(server.grpc, "q") as queue, Queue(server.grpc, "q.dead") as dead, queue.consume() as messages:
        queue.send(b"x").result(timeout=30)
        for deliveries in (1, 2):
            message = messages.get(timeout=30)
            assert message is not None and message.deliveries == deliveries
            message.nack(wait=True)
            server.clock.advance(HOUR_S - 1)
            assert messages.get(timeout=0) is None
            server.clock.advance(1)
        last = messages.get(timeout=30)
        assert last is not None
        last.nack(wait=True)
        (letter,) = dead.receive(1, wait=30)
        assert letter.value == b"x"


def test_a_call_that_fails_once_is_told_or_made_again(server: LogServer) -> None:
    with Queue(server.grpc, "q") as queue, Queues(server.grpc) as queues:
        queue.send(b"x").result(timeout=30)
        server.fail("Purge", "POLICY_VIOLATION")
        with pytest.raises(LogServerError, match=r"a test has Queues\.Purge fail"):
            queues.purge("q")
        fault = server.fail("Consume", "NOT_COORDINATOR", times=2)
        with queue.consume() as messages:
            message = messages.get(timeout=30)
            assert message is not None and message.value == b"x"
            message.ack(wait=True)
        assert fault.failed == 2


def test_what_was_held_when_connections_end_comes_again(server: LogServer) -> None:
    with Queue(server.grpc, "q") as queue, queue.consume() as messages:
        queue.send(b"x").result(timeout=30)
        first = messages.get(timeout=30)
        assert first is not None and first.deliveries == 1
        server.drop_connections()
        again = messages.get(timeout=30)
        assert again is not None and (again.value, again.deliveries, again.redelivered) == (b"x", 2, True)
        again.ack(wait=True)
