"""Worker process: groups without members commit one offset each, over and over, with requests made beforehand."""

import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.clients.frames import SIZE, frame
from benchmarks.clients.hammer import whole_answer
from benchmarks.support.numbers import percentile
from benchmarks.support.usage import Meter
from benchmarks.support.worker import CannotDo, work
from logserver.kafka_api.codec import read_response, response_header_is_flexible

_OFFSET_COMMIT: Final = 8
_FIND_COORDINATOR: Final = 10
_VERSION: Final = 8
_FIND_VERSION: Final = 3
_READ_BYTES: Final = 1 << 16
_TIMEOUT_S: Final = 60
_RETRY_S: Final = 0.05


class _Connection:
    """One connection and the requests of its groups, of which one is under way."""

    __slots__ = ("asked_at", "next", "received", "requests", "socket")

    def __init__(self, address: tuple[str, int], requests: list[bytes]) -> None:
        self.socket = socket.create_connection(address, timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = requests
        self.next = 0
        self.received = b""
        self.asked_at = 0.0

    def ask(self, now: float) -> None:
        """Sends the next group's request."""
        self.asked_at = now
        self.socket.send(self.requests[self.next])
        self.next = (self.next + 1) % len(self.requests)

    def answer(self, request: bytes) -> bytes:
        """Sends a request and returns its whole response."""
        self.socket.sendall(request)
        return whole_answer(self.socket)


def commit(address: str, server_pid: int, topic: str, groups: int, connections: int, seconds: float) -> Any:
    """Has each group commit once, and then all in turn for so long; returns the rate and percentiles of their waits."""
    host, _, port = address.rpartition(":")
    requests = [_request(f"group-{number:06}", topic) for number in range(groups)]
    every = [_Connection((host, int(port)), requests[n::connections]) for n in range(connections)]
    _find_coordinator(every[0], f"group-{0:06}")
    # No request has a number of its own, so all are answered the same if nothing is wrong.
    expected = _first(every[0])
    for one in every:
        one.socket.setblocking(False)
    _pump(every, expected, groups, 0)
    with Meter(server_pid) as meter:
        waits = _pump(every, expected, 0, time.perf_counter() + seconds)
    for one in every:
        one.socket.close()
    waits.sort()
    percentiles = {f"p{percent}_s": percentile(waits, percent) for percent in (50, 99, 99.9, 100)}
    return {"commits": len(waits), **percentiles, **meter.to_json(None)}


def _pump(every: list[_Connection], expected: bytes, least: int, end: float) -> list[float]:
    """Has all commit until there were so many, and the time is over; returns how long each took, in seconds."""
    waits: list[float] = []
    by_number = {one.socket.fileno(): one for one in every}
    with select.epoll() as epoll:
        for one in every:
            epoll.register(one.socket, select.EPOLLIN)
            one.ask(time.perf_counter())
        under_way = len(every)
        deadline = max(end, time.perf_counter()) + _TIMEOUT_S
        while under_way:
            if time.perf_counter() > deadline:
                raise CannotDo(f"{under_way} commits have not been answered")
            for number, _ in epoll.poll(1):
                one = by_number[number]
                one.received += one.socket.recv(_READ_BYTES)
                if len(one.received) < len(expected):
                    continue
                if one.received != expected:
                    raise CannotDo("a commit is answered with an error")
                one.received = b""
                now = time.perf_counter()
                waits.append(now - one.asked_at)
                if now < end or len(waits) + under_way <= least:
                    one.ask(now)
                else:
                    under_way -= 1
    return waits


def _request(group: str, topic: str) -> bytes:
    partition = {
        "partition_index": 0,
        "committed_offset": 7,
        "committed_leader_epoch": -1,
        "committed_metadata": "",
    }
    message = {
        "group_id": group,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "group_instance_id": None,
        "topics": [{"name": topic, "partitions": [partition]}],
    }
    return frame(_OFFSET_COMMIT, _VERSION, message)


def _find_coordinator(connection: _Connection, group: str) -> None:
    """Has the server make the topic of the offsets, if it does that only now."""
    asked = frame(_FIND_COORDINATOR, _FIND_VERSION, {"key": group, "key_type": 0})
    _until_answered(lambda: int(_read(_FIND_COORDINATOR, _FIND_VERSION, connection.answer(asked)).error_code))


def _first(connection: _Connection) -> bytes:
    """Commits for the first group until there is no error; returns the response."""
    data = b""

    def error() -> int:
        nonlocal data
        data = connection.answer(connection.requests[0])
        answer = _read(_OFFSET_COMMIT, _VERSION, data)
        return sum(abs(int(partition.error_code)) for topic in answer.topics for partition in topic.partitions)

    _until_answered(error)
    return data


def _until_answered(ask: Callable[[], int]) -> None:
    """Asks until there is no error: coordinators take a while to be there."""
    deadline = time.monotonic() + _TIMEOUT_S
    while error := ask():
        if time.monotonic() > deadline:
            raise CannotDo(f"the request is answered with error {error}")
        time.sleep(_RETRY_S)


def _read(api_key: int, version: int, data: bytes) -> Any:
    behind_header = SIZE.size + 4 + response_header_is_flexible(api_key, version)
    return read_response(api_key, version, memoryview(data)[behind_header:])


if __name__ == "__main__":
    work({"commit": commit})
