"""The synchronous queue: sending, consuming, settling, receiving."""

import gc
import signal
import threading
from collections.abc import Callable

import pytest
from logserver_client import (
    ClientClosed,
    InvalidRequest,
    LogServerError,
    Message,
    MessageLost,
    Queue,
    QueueDescription,
    Queues,
)

from logserver.testing import LogServer
from tests.client.conftest import ServerProcess
from tests.client.queueing import NewQueue, describe, new_queue, queue

__all__ = ["describe", "new_queue", "queue"]

Describe = Callable[[str], QueueDescription]


def _send(queue: Queue, count: int) -> None:
    queue.send_many([b"%d" % number for number in range(count)]).result(timeout=30)


def _get(queue: Queue, count: int, **settings: object) -> list[Message]:
    found = []
    for message in queue.consume(**settings):  # type: ignore[arg-type]
        found.append(message)
        if len(found) == count:
            break
    return found


def test_a_message_has_what_was_sent(queue: Queue) -> None:
    queue.send(b"value", key=b"key", headers=[("name", b"x"), ("none", None)], timestamp_ms=5).result(timeout=30)
    (message,) = _get(queue, 1)
    assert (message.partition, message.offset, message.timestamp_ms) == (0, 0, 5)
    assert (message.key, message.value, list(message.headers)) == (b"key", b"value", [("name", b"x"), ("none", None)])
    assert (message.deliveries, message.failures, message.redelivered) == (1, 0, False)


def test_what_is_acknowledged_does_not_come_again(queue: Queue, describe: Describe) -> None:
    _send(queue, 1000)
    with queue.consume(prefetch=100) as messages:
        values = []
        for message in messages:
            values.append(message.value)
            message.ack()
            if len(values) == 1000:
                break
    assert values == [b"%d" % number for number in range(1000)]
    counts = describe(queue.name).counts
    assert (counts.ready, counts.in_flight, counts.delayed) == (0, 0, 0)


def test_no_more_than_the_prefetch_is_held(queue: Queue, describe: Describe) -> None:
    _send(queue, 10)
    with queue.consume(prefetch=2) as messages:
        first, second = messages.get(timeout=30), messages.get(timeout=30)
        assert first is not None and second is not None
        assert messages.get(timeout=0.05) is None
        first.ack()
        third = messages.get(timeout=30)
        assert third is not None and third.offset == 2
        messages.prefetch = 5
        assert messages.prefetch == 5
        assert [message.offset for message in iter(lambda: messages.get(timeout=0.2), None)] == [3, 4, 5]
        assert describe(queue.name).counts.in_flight == 5


def test_wait_returns_when_it_is_durable(queue: Queue, describe: Describe) -> None:
    _send(queue, 5)
    with queue.consume(prefetch=5) as messages:
        for left, message in zip(range(4, -1, -1), messages, strict=False):
            message.ack(wait=True)
            assert describe(queue.name).counts.in_flight == left
            if not left:
                break


def test_nack_delivers_again_and_counts(server: LogServer, queue: Queue) -> None:
    _send(queue, 1)
    with queue.consume() as messages:
        first = next(iter(messages))
        first.nack(reason="no paper")
        again = next(iter(messages))
        assert (again.deliveries, again.failures, again.redelivered) == (2, 1, True)
        again.nack(retry_in=3600, wait=True)
        assert messages.get(timeout=0.05) is None
        server.clock.advance(3600)
        late = messages.get(timeout=30)
        assert late is not None and (late.deliveries, late.failures) == (3, 2)


def test_release_is_no_failure(queue: Queue) -> None:
    _send(queue, 2)
    with queue.consume(prefetch=1) as messages:
        first = next(iter(messages))
        first.release(position="tail")
        assert next(iter(messages)).offset == 1
        with pytest.raises(ValueError, match="position"):
            first.release(position="middle")  # type: ignore[arg-type]


def test_what_is_rejected_goes_to_the_dead_letters(address: str, new_queue: NewQueue) -> None:
    name = new_queue(dead_letter_topic="rejected.dead")
    with Queue(address, name) as queue:
        _send(queue, 1)
        _get(queue, 1)[0].reject("no address", wait=True)
    with Queue(address, "rejected.dead") as dead:
        (letter,) = _get(dead, 1)
        assert letter.value == b"0"
        assert b"no address" in {value for _, value in letter.headers}


def test_a_lock_ends_and_is_extended(server: LogServer, queue: Queue) -> None:
    _send(queue, 2)
    with queue.consume(prefetch=2, lock=10) as messages:
        kept, left = messages.get(timeout=30), messages.get(timeout=30)
        assert kept is not None and left is not None
        kept.extend(100, wait=True)
        server.clock.advance(50)
        again = messages.get(timeout=30)
        assert again is not None and again.offset == left.offset and again.failures == 1
        kept.ack(wait=True)
        with pytest.raises(MessageLost, match="offset 1 of partition 0"):
            left.ack(wait=True)
        assert messages.lost == 1
        with pytest.raises(ValueError, match="above 0"):
            again.extend(0)


def test_several_are_acknowledged_at_once(queue: Queue, describe: Describe) -> None:
    _send(queue, 3000)
    with queue.consume(prefetch=1000) as messages:
        count = 0
        for some in messages.batches():
            messages.ack(some)
            count += len(some)
            if count == 3000:
                break
        messages.flush()
        assert describe(queue.name).counts.in_flight == 0


def test_a_message_is_settled_once(queue: Queue) -> None:
    _send(queue, 1)
    (message,) = _get(queue, 1)
    message.ack()
    with pytest.raises(MessageLost, match="settled before"):
        message.ack()
    with pytest.raises(MessageLost, match="settled before"):
        message.nack()


def test_auto_ack_settles_at_delivery(queue: Queue, describe: Describe) -> None:
    _send(queue, 10)
    messages = _get(queue, 10, auto_ack=True)
    counts = describe(queue.name).counts
    assert (counts.ready, counts.in_flight) == (0, 0)
    with pytest.raises(MessageLost, match="settled before"):
        messages[0].ack()


def test_what_is_left_is_given_back(queue: Queue) -> None:
    _send(queue, 10)
    with queue.consume(prefetch=10) as messages:
        held = next(iter(messages))
    with pytest.raises(ClientClosed, match="delivered again"):
        held.ack()
    assert [message.deliveries for message in _get(queue, 10)] == [2] * 10


def test_an_iteration_goes_on_where_the_one_before_was_left(queue: Queue) -> None:
    _send(queue, 4)
    with queue.consume() as messages:
        assert [next(iter(messages)).offset for _ in range(4)] == [0, 1, 2, 3]


def test_a_consumption_that_nobody_knows_gives_back(queue: Queue) -> None:
    _send(queue, 3)
    held = _get(queue, 1)
    held[0].ack(wait=True)
    gc.disable()
    try:
        held.clear()
        assert [message.offset for message in _get(queue, 2)] == [1, 2]
    finally:
        gc.enable()


def test_several_threads_share_a_consumption(queue: Queue) -> None:
    _send(queue, 400)
    seen: list[int] = []
    with queue.consume(prefetch=8) as messages:

        def work() -> None:
            while (message := messages.get(timeout=1)) is not None:
                seen.append(message.offset)
                message.ack()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(seen) == list(range(400))


def test_a_queue_that_is_not_there_is_said_at_once(address: str) -> None:
    with Queue(address, "nowhere") as queue, pytest.raises(LogServerError, match="nowhere"):
        queue.consume()


def test_an_exclusive_consumer_is_alone(queue: Queue) -> None:
    with queue.consume(exclusive=True), pytest.raises(InvalidRequest, match="exclusive"):
        next(iter(queue.consume()))


def test_one_single_active_consumer_takes_over_from_another(queue: Queue) -> None:
    with queue.consume(single_active=True) as second, queue.consume(single_active=True) as first:
        first, second = second, first
        _send(queue, 1)
        message = first.get(timeout=30)
        assert message is not None
        assert second.get(timeout=0.05) is None
        first.close()
        again = second.get(timeout=30)
        assert again is not None and again.deliveries == 2


def test_receive_gives_messages_that_handles_settle(
    server: LogServer, address: str, queue: Queue, describe: Describe
) -> None:
    assert queue.receive() == []
    _send(queue, 5)
    messages = queue.receive(4, wait=30, lock=60)
    assert [message.value for message in messages] == [b"0", b"1", b"2", b"3"]
    messages[0].ack(wait=True)
    handles = [message.handle for message in messages]
    with Queue(address, queue.name) as elsewhere:
        elsewhere.ack(handles[1], wait=True)
        elsewhere.nack([handles[2]], retry_in=1000, wait=True)
        elsewhere.extend(handles[3], 600, wait=True)
        server.clock.advance(100)
        counts = describe(queue.name).counts
        assert (counts.ready, counts.delayed, counts.in_flight) == (1, 1, 1)
        server.clock.advance(1000)
        with pytest.raises(MessageLost):
            elsewhere.ack(handles[3], wait=True)
        with pytest.raises(ValueError, match="not the handle"):
            elsewhere.ack("x")


def test_receive_waits_for_the_first(queue: Queue) -> None:
    timer = threading.Timer(0.05, lambda: queue.send(b"late"))
    timer.start()
    (message,) = queue.receive(10, wait=30)
    assert message.value == b"late"
    queue.reject(message, wait=True)
    timer.join()


def test_a_coordinator_that_is_not_there_yet_is_waited_for(server: LogServer, queue: Queue) -> None:
    _send(queue, 1)
    with server.fail("Receive", "COORDINATOR_LOAD_IN_PROGRESS", times=2) as received:
        (message,) = queue.receive(wait=30)
    with server.fail("Settle", "COORDINATOR_LOAD_IN_PROGRESS", times=2) as settled:
        message.ack(wait=True)
    with server.fail("Consume", "COORDINATOR_LOAD_IN_PROGRESS", times=2) as consumed, queue.consume() as messages:
        _send(queue, 1)
        assert messages.get(timeout=60) is not None
    assert [fault.failed for fault in (received, settled, consumed)] == [2, 2, 2]


def test_what_is_lost_is_told(server: LogServer, address: str, new_queue: NewQueue) -> None:
    told: list[MessageLost] = []
    with Queue(address, new_queue(), on_lost=told.append) as queue:
        _send(queue, 3)
        with queue.consume(lock=10) as messages:
            held = [message for _, message in zip(range(3), messages, strict=False)]
            server.clock.advance(20)
            messages.ack(held)
            messages.flush()
            assert messages.lost == 3
        assert {error.partition for error in told} == {0}
        lost = [range(error.first_offset, error.last_offset + 1) for error in told]
        assert [offset for offsets in lost for offset in offsets] == [0, 1, 2]


def test_a_stream_that_breaks_is_opened_again_and_its_messages_are_lost(server: LogServer, queue: Queue) -> None:
    _send(queue, 10)
    with queue.consume(prefetch=10) as messages:
        held = next(iter(messages))
        assert server.drop_connections() > 0
        again = next(iter(messages))
        while again.deliveries == 1:
            # Of what had come before.
            again = next(iter(messages))
        assert (again.offset, again.redelivered) == (0, True)
        with pytest.raises(MessageLost, match="connection"):
            held.ack(wait=True)
        again.ack(wait=True)
        assert messages.lost == 1


def test_a_server_that_was_killed_is_waited_for(server_process: ServerProcess) -> None:
    with Queues(server_process.address) as queues:
        queues.declare("killed")
    with Queue(server_process.address, "killed") as queue:
        _send(queue, 10)
        with queue.consume(prefetch=5) as messages:
            messages.ack([next(iter(messages)) for _ in range(3)])
            messages.flush()
            server_process.kill()
            server_process.start()
            offsets: set[int] = set()
            while offsets != set(range(3, 10)):
                message = messages.get(timeout=60)
                assert message is not None
                try:
                    message.ack(wait=True)
                except MessageLost:
                    # One that had come before.
                    continue
                offsets.add(message.offset)


def test_the_client_reads_no_further_than_its_buffer(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logserver_client._queue.stream._BUFFER_BYTES", 5_000)
    queue.send_many([b"x" * 1000] * 500).result(timeout=30)
    with queue.consume(auto_ack=True, max_bytes=2_000) as messages:
        stream = messages._stream
        while not stream._is_stalled:
            pass
        assert stream._added_bytes < 20_000
        messages.flush()
        for _ in range(500):
            assert messages.get(timeout=60) is not None
        assert messages.get(timeout=0) is None


def test_flush_says_once_that_something_was_lost(server: LogServer, queue: Queue) -> None:
    _send(queue, 1)
    with queue.consume(lock=10) as messages:
        message = next(iter(messages))
        server.clock.advance(20)
        message.ack()
        with pytest.raises(MessageLost):
            messages.flush()
        messages.flush()


def test_settings_are_checked(address: str, queue: Queue) -> None:
    with pytest.raises(ValueError, match="prefetch"):
        queue.consume(prefetch=0)
    with pytest.raises(ValueError, match="lock"):
        queue.consume(lock=0)
    with pytest.raises(ValueError, match="name"):
        Queue(address)


def test_after_close_it_says_so(address: str, new_queue: NewQueue) -> None:
    name = new_queue()
    queue = Queue(address, name)
    consumption = queue.consume()
    queue.close()
    with pytest.raises(ClientClosed):
        next(iter(consumption))
    for call in (queue.consume, queue.receive, lambda: queue.send(b"x"), lambda: queue.ack("a.0.0.1")):
        with pytest.raises(ClientClosed):
            call()


def test_a_signal_handler_stops_a_consumption_that_waits(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    with queue.consume() as messages:
        before = signal.signal(signal.SIGUSR1, lambda *_: messages.stop())
        wait = messages._arrived.wait

        def interrupted(timeout_s: float | None = None) -> bool:
            # The thread has the lock, and would wait with it for ever.
            signal.raise_signal(signal.SIGUSR1)
            return wait(timeout_s)

        monkeypatch.setattr(messages._arrived, "wait", interrupted)
        try:
            assert list(messages) == []
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_what_was_not_handed_out_when_it_stops_goes_to_others(queue: Queue, describe: Describe) -> None:
    _send(queue, 10)
    with queue.consume(prefetch=10) as messages:
        first = next(iter(messages))
        messages.stop()
        with queue.consume(prefetch=9) as others:
            assert sorted(next(iter(others)).offset for _ in range(9)) == list(range(1, 10))
        first.ack(wait=True)
