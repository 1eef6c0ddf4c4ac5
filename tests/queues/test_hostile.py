"""Queues over the wire: values that no client of ours sends, and sizes that do not fit."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from logserver_records.batch import HEADER_SIZE
from logserverpb.v1 import admin_pb2, admin_pb2_grpc, common_pb2, queues_pb2

from logserver.testing import LogServer

from .worker import Message, Queues, Worker

STATE_TOPIC = "__share_group_state"
FOREVER_MS = (1 << 63) - 1


@pytest.fixture
def queues() -> Iterator[Queues]:
    with LogServer() as server, Queues(server.grpc) as queues:
        queues.declare("q", dead_letter_topic="dead")
        queues.send("q", b"0", b"1")
        (message,) = queues.receive("q", 1, wait_ms=9_000)
        queues.settle("q", message.settlement())
        yield queues


def refused(call: Any) -> grpc.StatusCode:
    """Returns the status that a call is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code


def redrive(queues: Queues, queue: str, **more: Any) -> list[Any]:
    return list(queues.stub.Redrive(queues_pb2.RedriveRequest(queue=queue, **more), timeout=10))


def test_a_number_that_means_any_settles_nothing_of_others(queues: Queues) -> None:
    holder = Worker(queues, "q", 1)
    (message,) = holder.take()
    assert queues.settle("q", message._replace(number=-1).settlement(), latest=True) == [0]
    assert holder.settle(message.settlement()) == []


@pytest.mark.parametrize("name", [STATE_TOPIC, f"{STATE_TOPIC}/g"])
def test_nothing_is_sent_to_topics_of_the_server(queues: Queues, name: str) -> None:
    assert refused(lambda: queues.declare(STATE_TOPIC)) is grpc.StatusCode.INVALID_ARGUMENT
    assert refused(lambda: queues.send(name, b"x")) in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


def test_no_message_is_moved_to_topics_of_the_server(queues: Queues) -> None:
    refusals = [
        refused(lambda: queues.declare("other", dead_letter_topic=STATE_TOPIC)),
        refused(lambda: redrive(queues, "q", destination=STATE_TOPIC)),
    ]
    forged = common_pb2.Record(value=b"x")
    forged.headers.add(key="logserver.topic", value=STATE_TOPIC.encode())
    forged.headers.add(key="logserver.partition", value=b"0")
    queues.stub.Send(queues_pb2.SendRequest(queue="dead", messages=common_pb2.RecordList(records=[forged])))
    refusals.append(refused(lambda: redrive(queues, "dead")))
    assert set(refusals) == {grpc.StatusCode.INVALID_ARGUMENT}
    assert queues.counts("dead") == (1, 0, 0, 0)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0])
def test_a_rate_that_is_none_is_refused(queues: Queues, rate: float) -> None:
    code = refused(lambda: redrive(queues, "q", destination="dead", messages_per_second=rate))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_times_that_can_not_be_written_down_are_refused(queues: Queues) -> None:
    calls = (
        lambda: queues.receive("q", lock_ms=FOREVER_MS),
        lambda: queues.declare("q", lock_ms=FOREVER_MS),
        lambda: queues.declare("q", retry_delay_ms=1, retry_delay_max_ms=FOREVER_MS),
        lambda: list(
            queues.stub.Consume(
                iter([queues_pb2.ConsumeRequest(start=queues_pb2.ConsumeStart(queue="q", lock_ms=FOREVER_MS))])
            )
        ),
    )
    assert {refused(call) for call in calls} == {grpc.StatusCode.INVALID_ARGUMENT}
    (message,) = queues.receive("q", 1, wait_ms=9_000)
    assert queues.settle(
        "q",
        message.settlement(queues_pb2.OUTCOME_EXTEND, lock_ms=FOREVER_MS),
        message.settlement(queues_pb2.OUTCOME_FAIL, delay_ms=FOREVER_MS),
    ) == [0, 1]
    assert queues.counts("q") == (0, 0, 1, 0)


def test_a_reason_of_megabytes_does_not_keep_a_message_from_the_dead_letters(queues: Queues) -> None:
    (message,) = queues.receive("q", 1, wait_ms=9_000)
    assert queues.settle("q", message.settlement(queues_pb2.OUTCOME_REJECT, reason="x" * 3_000_000)) == []
    (letter,) = queues.receive("dead", 1, wait_ms=9_000)
    assert letter.value == b"1"
    assert letter.headers["logserver.reason"] == b"x" * 1_000


def test_messages_that_are_together_too_large_for_the_dead_letters_go_there_a_few_at_a_time(queues: Queues) -> None:
    policy = queues_pb2.QueuePolicy(dead_letter_topic="small-dead")
    queues.stub.DeclareQueue(
        queues_pb2.DeclareQueueRequest(
            name="small", partitions=1, settings={"max.message.bytes": "10000"}, policy=policy
        )
    )
    for _ in range(20):
        queues.send("small", b"x" * 9_000)
    found = queues.receive("small", 20, wait_ms=9_000)
    settlement = found[0].settlement(queues_pb2.OUTCOME_REJECT)
    settlement.last = found[-1].offset
    assert len(found) == 20
    assert queues.settle("small", settlement) == []
    letters: list[Message] = []
    while len(letters) < 20:
        got = queues.receive("small-dead", 20, wait_ms=9_000)
        assert got
        letters += got
    assert [letter.headers["logserver.offset"] for letter in letters] == [b"%d" % offset for offset in range(20)]
    assert queues.counts("small") == (0, 0, 0, 0)


def test_a_queue_whose_records_can_not_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    with LogServer(tmp_path) as server, Queues(server.grpc) as queues:
        for name in ("bad", "good"):
            queues.declare(name)
            queues.send(name, b"x" * 100)
        with next(tmp_path.glob("bad-0/*.log")).open("r+b") as log:
            log.seek(HEADER_SIZE)
            log.write(b"\xff" * 8)
        found = {queue.name: queue for queue in queues.stub.ListQueues(queues_pb2.ListQueuesRequest()).queues}
    assert found["good"].counts.ready == 1
    assert "damaged" in found["bad"].partitions[0].error.message


def test_a_slow_consumer_goes_on_behind_what_was_deleted_before_it_was_sent(queues: Queues) -> None:
    queues.declare("slow")
    for _ in range(20):
        queues.send("slow", b"x" * 900_000)
    over = threading.Event()

    def requests() -> Iterator[Any]:
        yield queues_pb2.ConsumeRequest(start=queues_pb2.ConsumeStart(queue="slow"))
        over.wait(60)

    call = queues.stub.Consume(requests(), timeout=60)
    # Nobody reads yet, so most of what was acquired waits to be sent.
    while queues.counts("slow")[2] < 12:
        pass
    admin: Any = admin_pb2_grpc.AdminStub(queues.channel)  # type: ignore[no-untyped-call]
    admin.DeleteRecords(admin_pb2.DeleteRecordsRequest(topic="slow", partition=0, before_offset=20), timeout=10)
    queues.send("slow", b"new")
    lasts = []
    for response in call:
        lasts += [found.last for found in response.delivered.ranges]
        if 20 in lasts:
            break
    over.set()
    call.cancel()
    assert len(lasts) < 20
