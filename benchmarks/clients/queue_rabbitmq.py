"""Worker process: a work queue of RabbitMQ, by pika: durable queue, persistent messages, publisher confirms."""

from collections.abc import Iterator
from typing import Any, Final

import pika
from pika.adapters.select_connection import SelectConnection

from benchmarks.clients.queue_ages import ACKNOWLEDGED_TOGETHER, Received, due, sent
from benchmarks.support.worker import CannotDo, tell, work

_PERSISTENT: Final = pika.BasicProperties(delivery_mode=2)
_UNCONFIRMED_MOST: Final = 1_000
_PREFETCH_TOGETHER: Final = 5 * ACKNOWLEDGED_TOGETHER
_WAIT_S: Final = 600


def _parameters(address: str) -> Any:
    host, _, port = address.rpartition(":")
    return pika.ConnectionParameters(host, int(port))


def declare(address: str, queue: str) -> None:
    """Makes an empty queue."""
    with pika.BlockingConnection(_parameters(address)) as connection:
        connection.channel().queue_declare(queue, durable=True)


def delete(address: str, queue: str) -> None:
    """Removes a queue."""
    with pika.BlockingConnection(_parameters(address)) as connection:
        connection.channel().queue_delete(queue)


class _Publisher:
    """Publishes without waiting for each confirm: pika's blocking connection can't."""

    def __init__(self, address: str, queue: str, batches: Iterator[list[bytes]]) -> None:
        self._queue = queue
        self._batches = batches
        self._published = 0
        self._unconfirmed: dict[int, None] = {}
        self._is_full = self._is_done = False
        self.failure: str | None = None
        self._channel: Any = None
        self._connection = SelectConnection(
            _parameters(address), on_open_callback=self._opened, on_close_callback=self._closed
        )

    def run(self) -> None:
        """Returns when all messages are confirmed."""
        self._connection.ioloop.start()
        if self.failure is not None:
            raise CannotDo(self.failure)

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._ready)

    def _ready(self, channel: Any) -> None:
        self._channel = channel
        channel.confirm_delivery(self._answered, callback=lambda frame: self._publish())

    def _publish(self) -> None:
        values = next(self._batches, None)
        if values is None:
            self._is_done = True
            self._look()
            return
        for value in values:
            self._channel.basic_publish("", self._queue, value, _PERSISTENT)
            self._published += 1
            self._unconfirmed[self._published] = None
        self._is_full = len(self._unconfirmed) >= _UNCONFIRMED_MOST
        if not self._is_full:
            # Not at once: what was published goes out, and confirms come in, between two callbacks.
            self._connection.ioloop.call_later(0, self._publish)

    def _answered(self, frame: Any) -> None:
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self.failure = "a message was refused"
            self._connection.close()
            return
        tag = frame.method.delivery_tag
        if frame.method.multiple:
            while self._unconfirmed and (first := next(iter(self._unconfirmed))) <= tag:
                del self._unconfirmed[first]
        else:
            del self._unconfirmed[tag]
        if self._is_done:
            self._look()
        elif self._is_full and len(self._unconfirmed) < _UNCONFIRMED_MOST:
            self._is_full = False
            self._publish()

    def _look(self) -> None:
        if not self._unconfirmed:
            self._connection.close()

    def _closed(self, connection: Any, reason: Any) -> None:
        connection.ioloop.stop()


def send(address: str, queue: str, messages: int, value_bytes: int, rate: float) -> Any:
    """Publishes messages, and returns when all are confirmed."""
    return sent(_Publisher(address, queue, due(messages, rate, value_bytes)).run)


def consume(address: str, queue: str, messages: int, together: bool) -> Any:
    """Acknowledges so many together with one acknowledgement, or each alone with as many as the prefetch."""
    received = Received(messages)
    with pika.BlockingConnection(_parameters(address)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=_PREFETCH_TOGETHER if together else ACKNOWLEDGED_TOGETHER)
        unacknowledged = 0

        def take(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            nonlocal unacknowledged
            received.take(body)
            unacknowledged += 1
            if not together or unacknowledged == ACKNOWLEDGED_TOGETHER or not received.left:
                channel.basic_ack(method.delivery_tag, multiple=together)
                unacknowledged = 0
            if not received.left:
                channel.stop_consuming()

        channel.basic_consume(queue, take)
        connection.call_later(_WAIT_S, channel.stop_consuming)
        tell("reading")
        channel.start_consuming()
        if received.left:
            raise CannotDo(f"{received.left} messages have not come")
        told = received.told()
    return told


if __name__ == "__main__":
    work({"declare": declare, "delete": delete, "send": send, "consume": consume})
