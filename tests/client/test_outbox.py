"""What is said of messages, joined and followed: without a server."""

import asyncio
import random

import pytest
from logserver_client import ClientClosed, MessageLost
from logserver_client._queue.delivery import Delivery, Session
from logserver_client._queue.message import BaseMessage, Handle
from logserver_client._queue.outbox import Frame, Outbox
from logserverpb.v1 import common_pb2, queues_pb2


class Client:
    """An outbox, and messages for it."""

    def __init__(self) -> None:
        self.announced = 0
        self.lost: list[MessageLost] = []
        self.outbox = Outbox(self._announce, self.lost.append)
        self.session = Session("here")

    def _announce(self) -> None:
        self.announced += 1

    def messages(self, first: int, last: int, number: int = 1, partition: int = 0) -> list[BaseMessage]:
        acquired = queues_pb2.AcquiredRange(first=first, last=last, number=number, deliveries=1)
        delivery = Delivery(self.outbox, self.session, None, partition, acquired)
        return [BaseMessage(delivery, partition, offset, 0, None, b"x", ()) for offset in range(first, last + 1)]

    def frame(self) -> Frame:
        frame = self.outbox.next_frame()
        assert frame is not None
        return frame


@pytest.fixture
def client() -> Client:
    return Client()


def said(frame: Frame) -> list[tuple[int, int, int, int]]:
    return [(one.first, one.last, one.number, one.outcome) for one in frame.settlements()]


def test_consecutive_offsets_become_one_range(client: Client) -> None:
    messages = client.messages(10, 29)
    random.Random(1).shuffle(messages)
    for message in messages:
        message.ack()
    assert client.announced == 1
    assert said(client.frame()) == [(10, 29, 1, queues_pb2.OUTCOME_ACKNOWLEDGE)]
    assert client.outbox.next_frame() is None


def test_gaps_acquisitions_and_partitions_stay_apart(client: Client) -> None:
    for message in client.messages(0, 9):
        if message.offset not in (3, 7):
            message.ack()
    for message in client.messages(10, 11, number=2):
        message.ack()
    for message in client.messages(12, 12, number=2, partition=1):
        message.ack()
    frame = client.frame()
    assert [one[:3] for one in said(frame)] == [(0, 2, 1), (4, 6, 1), (8, 9, 1), (10, 11, 2), (12, 12, 2)]
    assert [one.partition for one in frame.settlements()] == [0, 0, 0, 0, 1]


def test_what_is_said_keeps_its_order_and_equal_neighbours_are_joined(client: Client) -> None:
    messages = client.messages(0, 5)
    messages[0].extend(5)
    for message in messages[1:4]:
        message.nack(retry_in=1.5, reason="no paper")
    messages[4].nack(reason="no paper")
    messages[5].release(position="tail")
    settlements = client.frame().settlements()
    assert [(one.first, one.last, one.outcome) for one in settlements] == [
        (0, 0, queues_pb2.OUTCOME_EXTEND),
        (1, 3, queues_pb2.OUTCOME_FAIL),
        (4, 4, queues_pb2.OUTCOME_FAIL),
        (5, 5, queues_pb2.OUTCOME_RELEASE),
    ]
    assert settlements[0].lock_ms == 5000
    assert (settlements[1].delay_ms, settlements[1].reason) == (1500, "no paper")
    assert not settlements[2].HasField("delay_ms")
    assert settlements[3].position == queues_pb2.RELEASE_POSITION_TAIL


def test_what_is_settled_is_not_extended_behind_that(client: Client) -> None:
    (message,) = client.messages(0, 0)
    message.ack()
    message.extend(5)
    assert said(client.frame()) == [(0, 0, 1, queues_pb2.OUTCOME_ACKNOWLEDGE)]


def test_frames_are_bounded(client: Client) -> None:
    for message in client.messages(0, 4999):
        if message.offset % 2:
            message.ack()
    frames = [client.frame() for _ in range(3)]
    assert [len(frame.pieces) for frame in frames] == [1000, 1000, 500]
    assert [frame.number for frame in frames] == [1, 2, 3]


async def test_a_flush_waits_for_what_was_said_before_it(client: Client) -> None:
    first, second = client.messages(0, 1)
    first.ack()
    flushed = asyncio.create_task(client.outbox.flushed())
    await asyncio.sleep(0)
    frame = client.frame()
    second.ack()
    later = client.frame()
    await asyncio.sleep(0)
    assert not flushed.done()
    client.outbox.confirm(frame.number)
    await flushed
    assert client.outbox.is_busy
    client.outbox.confirm(later.number)
    assert not client.outbox.is_busy


async def test_a_flush_of_nothing_returns(client: Client) -> None:
    flushed = asyncio.create_task(client.outbox.flushed())
    await asyncio.sleep(0)
    assert client.outbox.next_frame() is None
    await flushed


async def test_what_is_refused_is_lost(client: Client) -> None:
    messages = client.messages(0, 3)
    for message in messages[:2]:
        message.ack()
    messages[3].ack()
    settled = [asyncio.create_task(client.outbox.settled(message)) for message in messages]
    await asyncio.sleep(0)
    frame = client.frame()
    refused = queues_pb2.RefusedSettlement(
        id=frame.number, index=0, error=common_pb2.Error(code=121, name="INVALID_RECORD_STATE", message="too late")
    )
    client.outbox.confirm(frame.number, [refused])
    ends = await asyncio.gather(*settled, return_exceptions=True)
    assert [type(end) for end in ends] == [MessageLost, MessageLost, type(None), type(None)]
    assert [(error.first_offset, error.last_offset) for error in client.lost] == [(0, 1)]
    assert "too late" in client.lost[0].message
    assert client.outbox.lost == 2


async def test_what_is_not_confirmed_is_lost_when_the_stream_breaks(client: Client) -> None:
    messages = client.messages(0, 5)
    messages[0].ack()
    confirmed = client.frame()
    messages[1].ack()
    client.frame()
    messages[2].ack()
    flushed = asyncio.create_task(client.outbox.flushed())
    await asyncio.sleep(0)
    client.outbox.confirm(confirmed.number)
    client.session.is_lost = True
    client.outbox.break_off("the connection broke")
    await flushed
    assert [error.first_offset for error in client.lost] == [1, 2]
    messages[3].ack()
    assert client.outbox.next_frame() is None
    assert [error.first_offset for error in client.lost] == [1, 2, 3]
    assert not client.outbox.is_busy


def test_messages_of_several_incarnations_go_in_several_frames(client: Client) -> None:
    client.messages(0, 0)[0].ack()
    client.session = Session("there")
    client.messages(1, 1)[0].ack()
    frames = [client.frame(), client.frame()]
    assert [frame.pieces[0].delivery.session.incarnation for frame in frames] == ["here", "there"]


def test_after_close_nothing_is_taken(client: Client) -> None:
    first, second = client.messages(0, 1)
    first.ack()
    client.outbox.close()
    assert [error.first_offset for error in client.lost] == [0]
    with pytest.raises(ClientClosed):
        second.ack()


def test_a_callback_that_fails_takes_nothing_with_it() -> None:
    def fail(_: MessageLost) -> None:
        raise RuntimeError

    client = Client()
    client.outbox = Outbox(client._announce, fail)
    client.messages(0, 0)[0].ack()
    client.frame()
    client.outbox.break_off("gone")
    assert client.outbox.lost == 1
    assert not client.outbox.is_busy


@pytest.mark.parametrize("handle", [Handle("a-b", 3, 77, 1 << 40), Handle("", 0, 0, 1)])
def test_a_handle_is_a_text_and_back(handle: Handle) -> None:
    assert Handle.parse(str(handle)) == handle


@pytest.mark.parametrize("text", ["", "a", "a.1.2", "a.x.2.3", "a.1.2.z"])
def test_other_texts_are_no_handles(text: str) -> None:
    with pytest.raises(ValueError, match="not the handle"):
        Handle.parse(text)
