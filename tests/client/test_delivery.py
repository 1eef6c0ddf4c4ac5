"""Messages out of what a queue delivers: ranges, batches, bytes from anywhere."""

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from logserver_client import CorruptMessage
from logserver_client._queue.delivery import Session, deliveries_of, messages_of
from logserver_client._queue.message import BaseMessage
from logserver_client._queue.outbox import Outbox
from logserver_client._queue.reader import Reader
from logserver_client._queue.wire import Arrival, decode_consumed, decode_received
from logserver_records.codec import build_batch
from logserverpb.v1 import queues_pb2

Range = tuple[int, int, int, int]
"""First and last offset, acquisition number, deliveries."""


def batch(base_offset: int, count: int, *, is_control: bool = False) -> bytes:
    records = [(5, None, b"%d" % (base_offset + number), ()) for number in range(count)]
    return build_batch(records, base_offset=base_offset, is_control=is_control)


def delivered(ranges: list[Range], *batches: bytes) -> queues_pb2.DeliveredRecords:
    return queues_pb2.DeliveredRecords(
        partition=7,
        batches=b"".join(batches),
        ranges=[
            queues_pb2.AcquiredRange(first=first, last=last, number=number, deliveries=deliveries)
            for first, last, number, deliveries in ranges
        ],
    )


def arrival(ranges: list[Range], *batches: bytes) -> Arrival:
    message = queues_pb2.ConsumeResponse(delivered=delivered(ranges, *batches)).SerializeToString()
    found = decode_consumed(message)
    assert isinstance(found, Arrival)
    return found


def messages(found: Arrival) -> list[BaseMessage]:
    deliveries = deliveries_of(found, Outbox(lambda: None, None), Session(), None)
    return [message for some in messages_of(found, deliveries, BaseMessage) for message in some]


def test_only_what_is_in_a_range_is_a_message() -> None:
    found = messages(arrival([(2, 4, 1, 1), (8, 8, 1, 1)], batch(0, 10)))
    assert [(message.offset, message.value) for message in found] == [(2, b"2"), (3, b"3"), (4, b"4"), (8, b"8")]
    assert {message.partition for message in found} == {7}


def test_each_message_has_the_story_of_its_range() -> None:
    found = messages(arrival([(5, 9, 3, 1), (0, 2, 2, 4), (3, 4, 2, 9)], batch(0, 10)))
    assert [message.deliveries for message in found] == [4, 4, 4, 9, 9, 1, 1, 1, 1, 1]
    assert [message.delivery.number for message in found] == [2] * 5 + [3] * 5


def test_ranges_go_over_batches_and_neighbours_with_one_story_are_one_delivery() -> None:
    found = messages(arrival([(0, 4, 1, 1), (5, 12, 1, 1), (13, 13, 2, 1)], batch(0, 4), batch(4, 3), batch(7, 10)))
    assert [message.offset for message in found] == list(range(14))
    assert len({id(message.delivery) for message in found}) == 2
    assert (found[0].delivery.first, found[0].delivery.last) == (0, 12)


def test_control_batches_and_batches_of_others_are_left_out() -> None:
    found = messages(arrival([(0, 1, 1, 1), (6, 7, 1, 1)], batch(0, 2), batch(2, 4, is_control=True), batch(6, 2)))
    assert [message.offset for message in found] == [0, 1, 6, 7]
    assert messages(arrival([(100, 101, 1, 1)], batch(0, 2))) == []


def test_messages_of_a_stream_that_is_gone_are_not_handed_out() -> None:
    outbox = Outbox(lambda: None, None)
    first, second = Session(), Session()
    inbox = deque([(first, arrival([(0, 9, 1, 1)], batch(0, 10))), (first, arrival([(10, 19, 2, 1)], batch(10, 10)))])
    stream: Any = SimpleNamespace(inbox=inbox, outbox=outbox, error=None, is_auto_ack=False, took=lambda _: None)
    reader = Reader(stream, BaseMessage, None)
    message = reader.next()
    assert message is not None and message.offset == 0
    first.is_lost = True
    assert reader.next() is None
    inbox.append((second, arrival([(0, 2, 3, 2)], batch(0, 10))))
    assert [message.delivery.session for message in reader.take() or ()] == [second] * 3


def test_damaged_bytes_are_an_error_that_says_where() -> None:
    good = batch(0, 3)
    with pytest.raises(CorruptMessage, match="partition 7 from offset 0"):
        messages(arrival([(0, 2, 1, 1)], good[:-3] + b"xxx"))
    with pytest.raises(CorruptMessage):
        messages(arrival([(0, 2, 1, 1)], good[:-1]))


def test_an_answer_of_receive_has_several_partitions() -> None:
    parts = [delivered([(0, 1, 1, 1)], batch(0, 2)), delivered([], b"")]
    whole = queues_pb2.ReceiveResponse(incarnation="x", lock_ms=30_000, delivered=parts)
    found = decode_received(whole.SerializeToString())
    assert (found.head.incarnation, found.head.lock_ms, len(found.arrivals)) == ("x", 30_000, 2)
    assert [message.value for message in messages(found.arrivals[0])] == [b"0", b"1"]


def test_other_answers_are_messages() -> None:
    settled = queues_pb2.ConsumeResponse(settled=queues_pb2.ConsumeSettled(id=5))
    found = decode_consumed(settled.SerializeToString())
    assert not isinstance(found, Arrival) and found.settled.id == 5


def test_no_answer_that_is_cut_short_is_taken_for_a_whole_one() -> None:
    whole = queues_pb2.ConsumeResponse(delivered=delivered([(0, 2, 1, 1)], batch(0, 3))).SerializeToString()
    for length in range(1, len(whole)):
        with pytest.raises(DecodeError):
            decode_consumed(whole[:length])
