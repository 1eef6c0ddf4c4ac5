"""Queues over the wire: who gets what, and what becomes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from logserver_client import Producer
from logserverpb.v1 import admin_pb2, admin_pb2_grpc, queues_pb2

from logserver.daemon import Daemon
from logserver.testing import LogServer

from .worker import Message, Queues, Worker

FAIL = queues_pb2.OUTCOME_FAIL
RELEASE = queues_pb2.OUTCOME_RELEASE
REJECT = queues_pb2.OUTCOME_REJECT
EXTEND = queues_pb2.OUTCOME_EXTEND


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer() as server:
        yield server


@pytest.fixture
def queues(server: LogServer) -> Iterator[Queues]:
    with Queues(server.grpc) as queues:
        yield queues


def values(found: list[Message]) -> list[bytes]:
    return [message.value for message in found]


def test_messages_are_delivered_in_order_and_once(queues: Queues) -> None:
    queues.declare("q")
    queues.send("q", *(b"%d" % number for number in range(50)))
    worker = Worker(queues, "q", 7)
    got: list[Message] = []
    while len(got) < 50:
        found = worker.take(min(7, 50 - len(got)))
        assert worker.settle(*(message.settlement() for message in found)) == []
        got += found
    assert values(got) == [b"%d" % number for number in range(50)]
    assert {(message.deliveries, message.redelivered) for message in got} == {(1, False)}
    assert queues.counts("q") == (0, 0, 0, 0)
    assert queues.describe("q").partitions[0].start_offset == 50


def test_no_second_message_goes_to_a_busy_worker_whose_prefetch_is_one(queues: Queues) -> None:
    queues.declare("q")
    busy = Worker(queues, "q", 1)
    other = Worker(queues, "q", 1)
    queues.send("q", b"0")
    queues.send("q", b"1")
    first = [*busy.take(), *other.take()]
    queues.send("q", b"2", b"3")
    other.settle(first[1].settlement())
    (third,) = other.take()
    other.settle(third.settlement())
    (fourth,) = other.take()
    assert {third.value, fourth.value} == {b"2", b"3"}
    assert list(busy.idle()) == []
    assert queues.counts("q") == (0, 0, 2, 0)


def test_few_messages_are_shared_among_all_who_wait(queues: Queues) -> None:
    queues.declare("q")
    workers = [Worker(queues, "q", 10) for _ in range(3)]
    queues.send("q", b"0", b"1", b"2")
    assert {worker.take()[0].value for worker in workers} == {b"0", b"1", b"2"}


def test_what_a_worker_that_is_gone_held_comes_again_marked_so(queues: Queues) -> None:
    queues.declare("q")
    queues.send("q", b"0", b"1")
    gone = Worker(queues, "q", 2)
    found = gone.take(2)
    gone.settle(found[0].settlement())
    gone.vanish()
    (again,) = Worker(queues, "q", 2).take()
    assert (again.value, again.deliveries, again.failures, again.redelivered) == (b"1", 2, 0, True)


def test_a_failure_rests_as_the_policy_says(server: LogServer, queues: Queues) -> None:
    queues.declare("q", retry_delay_ms=1_000, retry_factor=3, retry_delay_max_ms=5_000)
    queues.send("q", b"0")
    worker = Worker(queues, "q", 1)
    for failures, delay_s in enumerate((1, 3, 5, 5)):
        (message,) = worker.take()
        assert message.failures == failures
        worker.settle(message.settlement(FAIL, reason="no luck"))
        server.clock.advance(delay_s - 0.5)
        assert queues.counts("q") == (0, 1, 0, 0)
        server.clock.advance(0.5)
    assert worker.take()[0].deliveries == 5


def test_an_explicit_delay_counts_more_than_the_policy(server: LogServer, queues: Queues) -> None:
    queues.declare("q", retry_delay_ms=1_000)
    queues.send("q", b"0")
    worker = Worker(queues, "q", 1)
    worker.settle(worker.take()[0].settlement(FAIL, delay_ms=3_600_000))
    server.clock.advance(3_599)
    assert queues.counts("q") == (0, 1, 0, 0)
    server.clock.advance(1)
    assert worker.take()[0].value == b"0"


def test_released_messages_go_where_they_are_told(queues: Queues) -> None:
    queues.declare("q")
    queues.send("q", b"0", b"1", b"2")
    worker = Worker(queues, "q", 1)
    worker.settle(worker.take()[0].settlement(RELEASE, position=queues_pb2.RELEASE_POSITION_TAIL))
    order: list[bytes] = []
    for _ in range(3):
        (message,) = worker.take()
        order.append(message.value)
        worker.settle(message.settlement())
    assert order == [b"1", b"2", b"0"]


def test_rejected_and_worn_out_messages_go_to_the_dead_letters_and_come_back(queues: Queues) -> None:
    queues.declare("q", max_deliveries=2, dead_letter_topic="q.dead")
    queues.send("q", b"bad", b"worn out", b"good")
    worker = Worker(queues, "q", 1)
    worker.settle(worker.take()[0].settlement(REJECT, reason="no JSON"))
    for _ in range(2):
        worker.settle(worker.take()[0].settlement(FAIL))
    worker.settle(worker.take()[0].settlement())
    dead = Worker(queues, "q.dead", 10)
    letters = {letter.value: letter for letter in dead.take(2)}
    headers = letters[b"bad"].headers
    assert headers["logserver.reason"] == b"no JSON"
    assert (headers["logserver.topic"], headers["logserver.partition"], headers["logserver.offset"]) == (
        b"q",
        b"0",
        b"0",
    )
    assert letters[b"worn out"].headers["logserver.reason"] == b"delivery-limit"
    assert letters[b"worn out"].headers["logserver.deliveries"] == b"2"
    assert queues.describe("q").dead_lettered == 2
    dead.close()
    progress = list(queues.stub.Redrive(queues_pb2.RedriveRequest(queue="q.dead"), timeout=10))
    assert (progress[-1].moved, progress[-1].done) == (2, True)
    worker.prefetch(2)
    assert sorted(values(worker.take(2))) == [b"bad", b"worn out"]
    assert queues.counts("q.dead") == (0, 0, 0, 0)


def test_a_redrive_takes_only_what_was_chosen(queues: Queues) -> None:
    queues.declare("q", dead_letter_topic="q.dead")
    queues.send("q", b"0", b"1", b"2")
    worker = Worker(queues, "q", 3)
    for message in worker.take(3):
        worker.settle(message.settlement(REJECT, reason="odd" if message.value == b"1" else "even"))
    odd = queues_pb2.RedriveRequest(queue="q.dead")
    odd.headers.add(key="logserver.reason", value=b"odd")
    progress = list(queues.stub.Redrive(odd, timeout=10))[-1]
    assert (progress.moved, progress.skipped) == (1, 2)
    assert values(worker.take()) == [b"1"]
    assert queues.counts("q.dead") == (2, 0, 0, 0)


def test_what_a_redrive_leaves_was_not_delivered_by_that(queues: Queues) -> None:
    queues.declare("q.dead", max_deliveries=1)
    queues.send("q.dead", b"0", b"1")
    nobody = queues_pb2.RedriveRequest(queue="q.dead", destination="q.dead", key=b"nobody's")
    for _ in range(3):
        progress = list(queues.stub.Redrive(nobody, timeout=10))[-1]
        assert (progress.moved, progress.skipped, progress.held, progress.done) == (0, 2, 0, True)
    found = Worker(queues, "q.dead", 2).take(2)
    assert [(message.value, message.deliveries) for message in found] == [(b"0", 1), (b"1", 1)]
    progress = list(queues.stub.Redrive(queues_pb2.RedriveRequest(queue="q.dead", destination="q.dead"), timeout=10))[
        -1
    ]
    assert (progress.moved, progress.skipped, progress.held) == (0, 0, 2)


def test_a_redrive_to_where_nothing_is_any_more_moves_nothing(queues: Queues) -> None:
    queues.declare("q", dead_letter_topic="q.dead")
    queues.send("q", b"0")
    worker = Worker(queues, "q", 1)
    worker.settle(worker.take()[0].settlement(REJECT))
    worker.close()
    while queues.counts("q.dead") != (1, 0, 0, 0):
        pass
    admin: Any = admin_pb2_grpc.AdminStub(queues.channel)  # type: ignore[no-untyped-call]
    admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="q"), timeout=10)
    with pytest.raises(grpc.RpcError, match="q"):
        list(queues.stub.Redrive(queues_pb2.RedriveRequest(queue="q.dead"), timeout=10))
    assert queues.counts("q.dead") == (1, 0, 0, 0)


def test_locks_of_receive_end_with_time_and_outlive_a_restart(tmp_path: Path) -> None:
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        queues.declare("q", lock_ms=60_000)
        queues.send("q", b"0", b"1", b"2")
        found = queues.receive("q", 2)
        assert queues.settle("q", found[0].settlement()) == []
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        assert queues.counts("q") == (1, 0, 1, 0)
        assert values(queues.receive("q")) == [b"2"]
        server.clock.advance(61)
        assert queues.counts("q") == (2, 0, 0, 0)
        assert queues.settle("q", found[1].settlement()) == [0]
        assert queues.settle("q", found[1].settlement(), latest=True) == []
        assert values(queues.receive("q")) == [b"2"]


def test_what_was_received_of_a_queue_that_was_made_anew_settles_nothing(queues: Queues) -> None:
    incarnation = queues.declare("q").incarnation
    queues.send("q", b"0")
    (message,) = queues.receive("q", 1, wait_ms=9_000)
    queues.stub.DeleteQueue(queues_pb2.DeleteQueueRequest(name="q"), timeout=10)
    queues.declare("q")
    (again,) = queues.receive("q", 1, wait_ms=9_000)
    assert (again.value, again.offset) == (b"0", message.offset)
    request = queues_pb2.SettleRequest(queue="q", incarnation=incarnation, settlements=[again.settlement()])
    with pytest.raises(grpc.RpcError, match="was made anew"):
        queues.stub.Settle(request, timeout=10)
    assert queues.counts("q") == (0, 0, 1, 0)


def test_a_lock_can_be_made_longer_and_shorter(server: LogServer, queues: Queues) -> None:
    queues.declare("q", lock_ms=10_000)
    queues.send("q", b"0", b"1")
    longer, shorter = queues.receive("q", 2)
    queues.settle("q", longer.settlement(EXTEND, lock_ms=30_000), shorter.settlement(EXTEND, lock_ms=5_000))
    server.clock.advance(6)
    assert queues.counts("q") == (1, 0, 1, 0)
    server.clock.advance(20)
    assert queues.counts("q") == (1, 0, 1, 0)


def test_what_is_settled_at_delivery_never_comes_again(tmp_path: Path) -> None:
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        queues.declare("q")
        queues.send("q", b"0", b"1")
        worker = Worker(queues, "q", settle=True)
        assert values(worker.take(2)) == [b"0", b"1"]
        worker.vanish()
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        assert queues.counts("q") == (0, 0, 0, 0)


def test_after_a_clean_stop_only_what_was_delivered_is_marked_so(tmp_path: Path) -> None:
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        queues.declare("q")
        queues.send("q", b"0", b"1", b"2")
        Worker(queues, "q", 1).take()
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        found = Worker(queues, "q", 3).take(3)
        assert [(message.value, message.redelivered, message.deliveries) for message in found] == [
            (b"0", True, 2),
            (b"1", False, 1),
            (b"2", False, 1),
        ]


def test_an_exclusive_consumer_is_alone(queues: Queues) -> None:
    queues.declare("q")
    alone = Worker(queues, "q", exclusive=True)
    queues.send("q", b"0")
    alone.take()
    with pytest.raises(AssertionError, match="has an exclusive consumer"):
        Worker(queues, "q")
    alone.close()
    queues.send("q", b"1")
    assert values(Worker(queues, "q").take(2)) == [b"0", b"1"]


def test_a_single_active_consumer_is_followed_by_the_next(queues: Queues) -> None:
    queues.declare("q")
    first, second = (Worker(queues, "q", 1, single_active=True) for _ in range(2))
    queues.send("q", b"0", b"1")
    first.settle(first.take()[0].settlement())
    assert values(first.take()) == [b"1"]
    first.vanish()
    assert values(second.take()) == [b"1"]


def test_purge_leaves_what_is_held_or_delayed(queues: Queues) -> None:
    queues.declare("q", retry_delay_ms=60_000)
    queues.send("q", *(b"%d" % number for number in range(10)))
    worker = Worker(queues, "q", 2)
    held, failed = worker.take(2)
    worker.prefetch(1)
    worker.settle(failed.settlement(FAIL))
    assert queues.stub.Purge(queues_pb2.PurgeRequest(queue="q"), timeout=10).messages == 8
    assert queues.counts("q") == (0, 1, 1, 0)
    assert worker.settle(held.settlement()) == []


def test_a_handle_that_is_not_good_is_refused_and_the_others_are_not(queues: Queues) -> None:
    queues.declare("q")
    queues.send("q", b"0", b"1")
    worker = Worker(queues, "q", 2)
    first, second = worker.take(2)
    worker.settle(first.settlement())
    twice = first.settlement()
    wrong = second._replace(number=second.number + 1).settlement()
    nowhere = second._replace(partition=5).settlement()
    assert worker.settle(twice, wrong, nowhere, second.settlement()) == [0, 1, 2]
    assert queues.counts("q") == (0, 0, 0, 0)


def test_a_story_tells_who_had_a_message_and_what_came_of_it(queues: Queues) -> None:
    queues.declare("q", max_deliveries=2, dead_letter_topic="q.dead")
    queues.send("q", b"0")
    worker = Worker(queues, "q", 1, consumer="anna")
    for reason in ("no luck", "no luck either"):
        worker.settle(worker.take()[0].settlement(FAIL, reason=reason))
    while queues.describe("q").counts.moving:
        pass
    (story,) = queues.stub.Explain(queues_pb2.ExplainRequest(topic="q", partition=0, offset=0), timeout=10).stories
    assert story.queue == "q"
    assert story.state == "settled"
    told = [(event.kind, event.reason, event.deliveries) for event in story.events]
    assert told == [
        ("acquired", "", 1),
        ("failed", "no luck", 1),
        ("acquired", "", 2),
        ("failed", "no luck either", 2),
        ("moving", "delivery-limit", 2),
        ("moved", "delivery-limit", 2),
    ]
    assert story.events[0].owner.startswith("anna")


def test_messages_can_be_looked_at_without_taking_them(queues: Queues) -> None:
    queues.declare("q")
    queues.send("q", b"0", b"1", b"2")
    Worker(queues, "q", 1).take()
    peeked = queues.stub.Peek(queues_pb2.PeekRequest(queue="q", max_messages=10), timeout=10).peeked
    states = [(found.first, found.last, queues_pb2.MessageState.Name(found.state)) for found in peeked[0].ranges]
    assert states == [(0, 0, "MESSAGE_STATE_HELD"), (1, 2, "MESSAGE_STATE_READY")]


def peeked(queues: Queues, **more: Any) -> list[tuple[int, int, str]]:
    found = queues.stub.Peek(queues_pb2.PeekRequest(queue="q", **more), timeout=10).peeked
    return [
        (each.first, each.last, queues_pb2.MessageState.Name(each.state)[len("MESSAGE_STATE_") :])
        for part in found
        for each in part.ranges
    ]


def test_looking_is_limited_in_bytes_and_shows_one_message_in_any_case(queues: Queues) -> None:
    queues.declare("q")
    for _ in range(5):
        queues.send("q", bytes(100_000))
    assert peeked(queues, max_messages=1_000, max_bytes=250_000) == [(0, 2, "READY")]
    assert peeked(queues, max_messages=1_000, max_bytes=1) == [(0, 0, "READY")]
    assert peeked(queues, max_messages=1_000) == [(0, 4, "READY")]
    Worker(queues, "q", 2).take(2)
    assert peeked(queues, max_messages=3) == [(0, 1, "HELD"), (2, 2, "READY")]
    assert peeked(queues, max_messages=1, state=queues_pb2.MESSAGE_STATE_READY) == [(2, 2, "READY")]


def test_what_was_aborted_is_neither_shown_nor_redriven(server: LogServer, queues: Queues) -> None:
    queues.declare("q")
    with Producer(server.grpc, transactional_id="t") as producer:
        for value, is_good in ((b"bad", False), (b"good", True), (b"bad", False)):
            producer.begin_transaction()
            producer.send("q", value).result(timeout=10)
            (producer.commit_transaction if is_good else producer.abort_transaction)()
    assert peeked(queues, max_messages=10) == [(2, 2, "READY")]
    progress = list(queues.stub.Redrive(queues_pb2.RedriveRequest(queue="q", destination="q"), timeout=10))[-1]
    assert (progress.moved, progress.skipped, progress.held) == (1, 0, 0)
    assert values(Worker(queues, "q", 5).take(1)) == [b"good"]
    assert sum(queues.counts("q")) == 1


def test_a_queue_of_another_name_is_an_error_that_says_what_to_do(queues: Queues) -> None:
    with pytest.raises(grpc.RpcError, match="declare it, or name a share group on a topic as TOPIC/GROUP"):
        queues.describe("nothing")


def test_describing_queues_opens_none_of_them(tmp_path: Path) -> None:
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        queues.declare("q", partitions=2, dead_letter_topic="q.dead")
        queues.send("q", b"0", b"1", b"2")
        found = queues.receive("q", 2, wait_ms=9_000, lock_ms=3_600_000)
        queues.settle("q", found[0].settlement(), found[1].settlement(RELEASE))
        before = queues.describe("q")
        assert sorted(part.counts.ready for part in before.partitions) == [0, 2]
        assert (before.dead_lettered, dict(before.deliveries)) == (0, {1: 1})
    with LogServer(data_dir=tmp_path) as server, Queues(server.grpc) as queues:
        listed = queues.stub.ListQueues(queues_pb2.ListQueuesRequest(), timeout=10).queues
        assert [queue.name for queue in listed] == ["q", "q.dead"]
        for found in (listed[0], queues.describe("q")):
            for part in (*before.partitions, *found.partitions):
                # As far as was looked at, which nobody has done now.
                part.counts.ready_bytes = 0
            before.counts.ready_bytes = found.counts.ready_bytes = 0
            assert found == before
        assert server.call(open_places) == 0


async def open_places(daemon: Daemon) -> int:
    assert daemon._queues is not None
    return len(list(daemon._queues.places))


def test_whoever_looks_at_a_share_group_does_not_consume_it(server: LogServer, queues: Queues) -> None:
    queues.declare("t")
    Worker(queues, "t/readers", 1).close()
    queues.describe("t/readers")

    async def is_consumed(daemon: Daemon) -> bool:
        assert daemon._queues is not None and daemon._broker is not None
        return daemon._queues.is_consumed("readers", daemon._broker.topic("t").record.topic_id)

    assert not server.call(is_consumed)


def test_a_share_group_on_a_topic_is_a_queue_that_begins_when_it_is_consumed(server: LogServer, queues: Queues) -> None:
    queues.declare("t")
    queues.send("t", b"before")
    assert "has not begun" in queues.describe("t/readers").partitions[0].error.message
    reader = Worker(queues, "t/readers", 5)
    queues.send("t", b"after")
    assert values(reader.take()) == [b"after"]
    assert values(Worker(queues, "t", 5).take(2)) == [b"before", b"after"]
    assert [queue.name for queue in queues.stub.ListQueues(queues_pb2.ListQueuesRequest()).queues] == ["t", "t/readers"]
