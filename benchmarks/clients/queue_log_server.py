"""Worker process: a work queue of this server, by the bundled client."""

import time
from typing import Any, Final

from logserver_client import Queue, Queues

from benchmarks.clients.queue_ages import ACKNOWLEDGED_TOGETHER, Received, due, sent
from benchmarks.support.worker import tell, work

_PREFETCH_TOGETHER: Final = 5 * ACKNOWLEDGED_TOGETHER


def declare(address: str, queue: str) -> None:
    """Makes an empty queue."""
    with Queues(address) as queues:
        queues.declare(queue)


def delete(address: str, queue: str) -> None:
    """Removes a queue."""
    with Queues(address) as queues:
        queues.delete(queue)


def send(address: str, queue: str, messages: int, value_bytes: int, rate: float) -> Any:
    """Sends messages, those that are due together in one call, and returns when all are acknowledged."""
    settings: Any = {"linger_ms": 0} if rate else {}
    with Queue(address, queue, **settings) as opened:

        def all_of_them() -> None:
            for values in due(messages, rate, value_bytes):
                opened.send_many(values)
            opened.flush()

        return sent(all_of_them)


def consume(address: str, queue: str, messages: int, together: bool) -> Any:
    """Acknowledges those that came together with one call, or each alone with as many as the prefetch."""
    received = Received(messages)
    with (
        Queue(address, queue) as opened,
        opened.consume(prefetch=_PREFETCH_TOGETHER if together else ACKNOWLEDGED_TOGETHER) as consumption,
    ):
        tell("reading")
        if together:
            for batch in consumption.batches():
                for message in batch:
                    received.take(message.value or b"")
                consumption.ack(batch)
                if not received.left:
                    break
        else:
            for message in consumption:
                received.take(message.value or b"")
                message.ack()
                if not received.left:
                    break
        consumption.flush()
        return received.told()


def first(address: str, queue: str) -> float:
    """Returns the seconds from asking for messages to the first one."""
    with Queue(address, queue) as opened:
        began = time.perf_counter()
        with opened.consume(prefetch=ACKNOWLEDGED_TOGETHER) as consumption:
            next(iter(consumption)).ack(wait=True)
            return time.perf_counter() - began


if __name__ == "__main__":
    work({"declare": declare, "delete": delete, "send": send, "consume": consume, "first": first})
