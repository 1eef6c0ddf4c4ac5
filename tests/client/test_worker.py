"""The synchronous worker: handlers on threads."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from logserver_client import LogServerError, Message, Queue, QueueDescription, Queues, Reject, Retry, Worker

from logserver.testing import LogServer
from tests.client.queueing import NewQueue, describe, new_queue, queue

__all__ = ["describe", "new_queue", "queue"]

Describe = Callable[[str], QueueDescription]


def _send(queue: Queue, count: int) -> None:
    queue.send_many([b"%d" % number for number in range(count)]).result(timeout=30)


@contextmanager
def _running(worker: Worker) -> Iterator[None]:
    """Runs a worker on a thread, and stops it behind the block."""
    ends: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(60)
    assert not thread.is_alive()
    if ends:
        raise ends[0]


class Handled:
    """A handler that keeps what it is called with."""

    def __init__(self, count: int) -> None:
        self.messages: list[Message] = []
        self._count = count
        self._done = threading.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if len(self.messages) == self._count:
            self._done.set()

    def wait(self) -> list[Message]:
        assert self._done.wait(60)
        return self.messages


def test_every_message_is_worked_on_once(queue: Queue, describe: Describe) -> None:
    _send(queue, 200)
    handled = Handled(200)
    with _running(Worker(queue, handled, concurrency=4)):
        assert sorted(message.offset for message in handled.wait()) == list(range(200))
    counts = describe(queue.name).counts
    assert (counts.ready, counts.in_flight) == (0, 0)


def test_so_many_are_worked_on_at_a_time(queue: Queue) -> None:
    _send(queue, 6)
    barrier = threading.Barrier(3)
    handled = Handled(6)

    def handle(message: Message) -> None:
        barrier.wait(60)
        handled(message)

    with _running(Worker(queue, handle, concurrency=3)):
        handled.wait()


def test_whoever_is_free_gets_the_next(address: str, queue: Queue) -> None:
    _send(queue, 5)
    free = threading.Event()
    handled = Handled(4)

    def stuck(_: Message) -> None:
        assert free.wait(60)

    with Queue(address, queue.name) as other, _running(Worker(queue, stuck)), _running(Worker(other, handled)):
        handled.wait()
        free.set()


def test_what_fails_is_tried_again_as_the_policy_says(
    server: LogServer, address: str, new_queue: NewQueue, describe: Describe
) -> None:
    name = new_queue(retry_delay=3600, max_deliveries=2, dead_letter_topic="worker.dead")
    handled = Handled(1)
    again = Handled(2)

    def handle(message: Message) -> None:
        again.messages.append(message)
        handled(message)
        if len(again.messages) == 2:
            again._done.set()
        raise RuntimeError("no paper")

    with Queue(address, name) as queue, Queue(address, "worker.dead") as dead:
        _send(queue, 1)
        with _running(Worker(queue, handle)):
            handled.wait()
            while not describe(name).counts.delayed:
                pass
            server.clock.advance(3600)
            assert [message.deliveries for message in again.wait()] == [1, 2]
            with dead.consume() as letters:
                letter = letters.get(timeout=60)
        assert letter is not None
        with Queues(address) as queues:
            (story,) = queues.explain(name, 0, 0, queue=name)
        assert "RuntimeError: no paper" in {event.reason for event in story.events}


def test_a_handler_says_when_to_try_again(server: LogServer, queue: Queue, describe: Describe) -> None:
    _send(queue, 1)
    deliveries: list[int] = []
    handled = Handled(1)

    def handle(message: Message) -> None:
        deliveries.append(message.deliveries)
        if message.deliveries == 1:
            raise Retry(1000, "later")
        handled(message)

    with _running(Worker(queue, handle)):
        while not describe(queue.name).counts.delayed:
            pass
        server.clock.advance(1000)
        handled.wait()
    assert deliveries == [1, 2]
    with pytest.raises(ValueError, match="in_seconds"):
        Retry(-1)


def test_what_is_of_no_use_goes_to_the_dead_letters(address: str, new_queue: NewQueue) -> None:
    name = new_queue(dead_letter_topic="useless.dead")

    def handle(message: Message) -> None:
        raise Reject("no address")

    with Queue(address, name) as queue, Queue(address, "useless.dead") as dead:
        _send(queue, 1)
        with _running(Worker(queue, handle)), dead.consume() as letters:
            letter = letters.get(timeout=60)
        assert letter is not None and b"no address" in {value for _, value in letter.headers}


def test_a_handler_may_settle_by_itself(queue: Queue, describe: Describe) -> None:
    _send(queue, 1)
    handled = Handled(1)

    def handle(message: Message) -> None:
        message.nack(retry_in=1000, wait=True)
        handled(message)

    with _running(Worker(queue, handle)):
        handled.wait()
    assert describe(queue.name).counts.delayed == 1


def test_locks_are_extended_while_a_handler_runs(address: str, queue: Queue) -> None:
    _send(queue, 1)
    handled = Handled(1)

    def handle(message: Message) -> None:
        with Queues(address) as queues:
            while "extended" not in {event.kind for event in queues.explain(queue.name, 0, 0)[0].events}:
                pass
        handled(message)

    with _running(Worker(queue, handle, lock=3)):
        handled.wait()
    assert len(handled.messages) == 1


def test_what_is_running_is_finished_and_the_rest_given_back(queue: Queue, describe: Describe) -> None:
    _send(queue, 5)
    begun, go_on = threading.Event(), threading.Event()

    def handle(_: Message) -> None:
        begun.set()
        assert go_on.wait(60)

    worker = Worker(queue, handle, prefetch=5)
    with _running(worker):
        assert begun.wait(60)
        worker.stop()
        # Before what is running has finished.
        while describe(queue.name).counts.ready < 4:
            pass
        assert describe(queue.name).counts.in_flight == 1
        go_on.set()
    counts = describe(queue.name).counts
    assert (counts.ready, counts.in_flight) == (4, 0)


def test_who_takes_longer_than_the_grace_loses_its_message(queue: Queue, describe: Describe) -> None:
    _send(queue, 1)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def handle(_: Message) -> None:
        begun.set()
        assert go_on.wait(60)
        done.set()

    with _running(Worker(queue, handle, grace=0)):
        assert begun.wait(60)
    assert describe(queue.name).counts.ready == 1
    go_on.set()
    assert done.wait(60)


def test_a_queue_that_is_deleted_ends_the_worker(address: str, queue: Queue) -> None:
    _send(queue, 1)

    def handle(_: Message) -> None:
        with Queues(address) as queues:
            queues.delete(queue.name)

    with pytest.raises(LogServerError, match=queue.name):
        Worker(queue, handle).run()


def test_settings_are_checked(queue: Queue) -> None:
    async def handle(message: Message) -> None:
        pass

    with pytest.raises(TypeError, match=r"aio\.Worker"):
        Worker(queue, handle)
    with pytest.raises(ValueError, match="concurrency"):
        Worker(queue, print, concurrency=0)
    with pytest.raises(ValueError, match="auto_ack"):
        Worker(queue, print, auto_ack=True)
    with pytest.raises(ValueError, match="grace"):
        Worker(queue, print, grace=-1)


PROGRAM = """
import sys, time
from logserver_client import Queue, Worker

def handle(message):
    print("begun", flush=True)
    sys.stdin.readline()
    print("done", message.value, flush=True)

{rest}
print("stopped", flush=True)
"""

SYNC = "with Queue(*sys.argv[1:]) as queue: Worker(queue, handle, prefetch=2).run()"
AIO = """
async def main():
    async with Queue(*sys.argv[1:]) as queue:
        await Worker(queue, handle, prefetch=2).run()
import asyncio
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("form", ["sync", "aio"])
def test_signals_stop_a_worker(address: str, queue: Queue, describe: Describe, number: int, form: str) -> None:
    _send(queue, 2)
    program = PROGRAM.format(rest=SYNC if form == "sync" else AIO)
    if form == "aio":
        program = program.replace("from logserver_client import", "from logserver_client.aio import")
    with subprocess.Popen(
        [sys.executable, "-c", program, address, queue.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            process.send_signal(number)
            while describe(queue.name).counts.ready != 1:
                pass
            process.stdin.write("\n")
            assert process.stdout.read() == "done b'0'\nstopped\n"
            assert process.wait(60) == 0
        finally:
            process.kill()
    counts = describe(queue.name).counts
    assert (counts.ready, counts.in_flight) == (1, 0)
