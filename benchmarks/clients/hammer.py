"""Worker process: the same request over and over, on many connections, with as little work for each as there can be.

Responses are counted by their bytes, because all are of the same size: only the first of each connection is read.
"""

import os
import select
import socket
import time
from typing import Any, Final

from logserver_records import build_batch

from benchmarks.clients.frames import FETCH, PRODUCE, SIZE, VERSION, fetch, produce
from benchmarks.support.usage import Meter
from benchmarks.support.worker import CannotDo, work
from logserver.kafka_api.codec import Struct, read_response, response_header_is_flexible

_READ_BYTES: Final = 1 << 18
_TIMEOUT_S: Final = 60


def produce_all(topic: str, acks: int, value_bytes: int, **job: Any) -> Any:
    """Puts a batch of one record into partition 0 with each request."""
    batch = build_batch([(time.time_ns() // 1_000_000, None, os.urandom(value_bytes), ())])
    return hammer(produce(topic, 0, batch, acks=acks), PRODUCE, **job)


def fetch_all(topic: str, offset: int, **job: Any) -> Any:
    """Reads what partition 0 has from an offset on with each request."""
    return hammer(fetch(topic, 0, offset), FETCH, **job)


def hammer(
    request: bytes, api_key: int, address: str, server_pid: int, connections: int, in_flight: int, seconds: float
) -> Any:
    """Sends a request as often as it is answered for so many seconds, and once before on each connection.

    Args:
        in_flight: requests under way on each connection.
    """
    host, _, port = address.rpartition(":")
    sockets = [socket.create_connection((host, int(port)), timeout=_TIMEOUT_S) for _ in range(connections)]
    size = max(first_answer(one, request, api_key) for one in sockets)
    by_number = {one.fileno(): one for one in sockets}
    partial = dict.fromkeys(by_number, 0)
    requests = [request * count for count in range(in_flight + 1)]
    with select.epoll() as epoll:
        for one in sockets:
            one.setblocking(False)
            epoll.register(one, select.EPOLLIN)
        with Meter(server_pid) as meter:
            for one in sockets:
                one.send(requests[in_flight])
            answered = _go_on(epoll, by_number, partial, requests, size, seconds)
            left = connections * in_flight
            end = time.perf_counter() + _TIMEOUT_S
            while left and time.perf_counter() < end:
                for number, _ in epoll.poll(1):
                    taken = partial[number] + len(by_number[number].recv(_READ_BYTES))
                    partial[number] = taken % size
                    left -= taken // size
    for one in sockets:
        one.close()
    if left:
        raise CannotDo(f"{left} requests have not been answered")
    return {
        "requests": answered + connections * in_flight,
        "connections": connections,
        "response_bytes": size,
        **meter.to_json(None),
    }


def _go_on(
    epoll: select.epoll,
    sockets: dict[int, socket.socket],
    partial: dict[int, int],
    requests: list[bytes],
    size: int,
    seconds: float,
) -> int:
    """Sends a request for each that is answered, until the time is over; returns how many."""
    answered = 0
    end = time.perf_counter() + seconds
    poll = epoll.poll
    while time.perf_counter() < end:
        for number, _ in poll(1):
            one = sockets[number]
            taken = partial[number] + len(one.recv(_READ_BYTES))
            count, partial[number] = divmod(taken, size)
            if count:
                answered += count
                one.send(requests[count])
    return answered


def first_answer(connection: socket.socket, request: bytes, api_key: int) -> int:
    """Sends a request and looks at what it is answered; returns the size of the response."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(request)
    data = whole_answer(connection)
    behind_header = SIZE.size + 4 + response_header_is_flexible(api_key, VERSION)
    for topic in read_response(api_key, VERSION, memoryview(data)[behind_header:]).responses:
        for partition in topic.partition_responses if api_key == PRODUCE else topic.partitions:
            _check(partition)
    return len(data)


def whole_answer(connection: socket.socket) -> bytes:
    """Returns the next response as it comes, its length included."""
    data = b""
    while len(data) < SIZE.size or len(data) < SIZE.size + SIZE.unpack_from(data)[0]:
        more = connection.recv(_READ_BYTES)
        if not more:
            raise CannotDo("the server closed the connection")
        data += more
    return data


def _check(partition: Struct) -> None:
    if partition.error_code:
        raise CannotDo(f"the request is answered with error {partition.error_code}")


def main() -> None:
    work({"produce": produce_all, "fetch": fetch_all})


if __name__ == "__main__":
    main()
