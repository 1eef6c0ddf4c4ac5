"""Worker process: a work queue on a Redis stream with a consumer group, by redis-py."""

from typing import Any, Final

import redis

from benchmarks.clients.queue_ages import ACKNOWLEDGED_TOGETHER, Received, due, sent
from benchmarks.support.worker import CannotDo, tell, work

_GROUP: Final = "workers"
_WAIT_MS: Final = 30_000


def _client(address: str) -> Any:
    host, _, port = address.rpartition(":")
    return redis.Redis(host, int(port))


def declare(address: str, queue: str) -> None:
    """Makes an empty queue."""
    _client(address).xgroup_create(queue, _GROUP, id="0", mkstream=True)


def delete(address: str, queue: str) -> None:
    """Removes a queue."""
    _client(address).delete(queue)


def send(address: str, queue: str, messages: int, value_bytes: int, rate: float) -> Any:
    """Adds messages, those that are due together in one pipeline."""
    client = _client(address)

    def all_of_them() -> None:
        for values in due(messages, rate, value_bytes):
            with client.pipeline(transaction=False) as pipeline:
                for value in values:
                    pipeline.xadd(queue, {b"v": value})
                pipeline.execute()

    return sent(all_of_them)


def consume(address: str, queue: str, messages: int, together: bool) -> Any:
    """Reads up to so many at a time and acknowledges them with one XACK, or each with its own."""
    client = _client(address)
    received = Received(messages)
    tell("reading")
    while received.left:
        found = client.xreadgroup(_GROUP, "one", {queue: ">"}, count=ACKNOWLEDGED_TOGETHER, block=_WAIT_MS)
        if not found:
            raise CannotDo(f"{received.left} messages have not come")
        entries = (found[queue.encode()][0] if isinstance(found, dict) else found[0][1]) if found else []
        for number, fields in entries:
            received.take(fields[b"v"])
            if not together:
                client.xack(queue, _GROUP, number)
        if together:
            client.xack(queue, _GROUP, *(number for number, _ in entries))
    return received.told()


if __name__ == "__main__":
    work({"declare": declare, "delete": delete, "send": send, "consume": consume})
