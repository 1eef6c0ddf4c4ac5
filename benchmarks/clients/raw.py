"""Worker process: record batches made beforehand through one connection, as many under way as Kafka's clients have."""

import select
import socket
import time
from collections import deque
from typing import Any, Final

from logserver_records import build_batch

from benchmarks.clients.frames import PRODUCE, produce
from benchmarks.clients.hammer import first_answer
from benchmarks.support.usage import Meter
from benchmarks.support.values import values
from benchmarks.support.worker import CannotDo, work

_BATCH_BYTES: Final = 900_000
_IN_FLIGHT: Final = 5
_READ_BYTES: Final = 1 << 16
_TIMEOUT_S: Final = 120
_ACKS: Final = {"all": -1, "1": 1}


def produce_all(address: str, server_pid: int, topic: str, records: int, value_bytes: int, acks: str) -> Any:
    """Sends the same batch over and over until there are at least so many records; ends when all are answered.

    Returns:
        What the meter says; `records` has how many there were, of which one came before the clock ran.
    """
    now_ms = time.time_ns() // 1_000_000
    pool = values(value_bytes)
    batch = build_batch([(now_ms, None, pool[n % len(pool)], ()) for n in range(max(_BATCH_BYTES // value_bytes, 1))])
    each = max(_BATCH_BYTES // value_bytes, 1)
    left = -(-records // each)
    single = produce(topic, 0, build_batch([(now_ms, None, b"", ())]), acks=_ACKS[acks])
    request = memoryview(produce(topic, 0, batch, acks=_ACKS[acks]))
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_S) as connection, select.epoll() as epoll:
        size = first_answer(connection, single, PRODUCE)
        connection.setblocking(False)
        epoll.register(connection, select.EPOLLIN | select.EPOLLOUT)
        with Meter(server_pid) as meter:
            _pump(connection, epoll, request, size, left)
    return {**meter.to_json(None), "records": left * each}


def _pump(connection: socket.socket, epoll: select.epoll, request: memoryview, size: int, left: int) -> None:
    """Sends so many requests and reads their answers."""
    unsent: deque[memoryview] = deque()
    under_way = partial = 0
    wants_out = True
    end = time.perf_counter() + _TIMEOUT_S
    while left or under_way:
        if time.perf_counter() > end:
            raise CannotDo(f"{left + under_way} requests have not been answered")
        while left and under_way < _IN_FLIGHT:
            unsent.append(request)
            left, under_way = left - 1, under_way + 1
        if bool(unsent) != wants_out:
            wants_out = bool(unsent)
            epoll.modify(connection, select.EPOLLIN | (select.EPOLLOUT if wants_out else 0))
        for _, events in epoll.poll(1):
            if events & select.EPOLLIN:
                data = connection.recv(_READ_BYTES)
                if not data:
                    raise ConnectionError("the server closed the connection")
                answered, partial = divmod(partial + len(data), size)
                under_way -= answered
            if events & select.EPOLLOUT and unsent:
                sent = connection.send(unsent[0])
                if sent < len(unsent[0]):
                    unsent[0] = unsent[0][sent:]
                else:
                    unsent.popleft()


if __name__ == "__main__":
    work({"produce": produce_all})
