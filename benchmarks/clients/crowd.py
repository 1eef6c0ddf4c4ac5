"""Worker process: many connections to the Kafka door at a time, on one `epoll`."""

import os
import resource
import select
import socket
import time
from typing import Any, Final

from logserver_records import build_batch

from benchmarks.clients.frames import SIZE, hello, produce
from benchmarks.support.numbers import percentile
from benchmarks.support.worker import work

_READ_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 120


class Connection:
    """One connection, and what it has to say: the next request goes out when the answer to the last one is there."""

    __slots__ = ("answered_at", "began_at", "closed_at", "received", "socket", "to_say")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.began_at = time.perf_counter()
        self.answered_at = self.closed_at = 0.0
        self.received = bytearray()
        self.to_say: list[bytes] = []
        self.socket.connect_ex(address)

    def take(self) -> bool:
        """Takes in what has come; returns whether that was the end of the connection."""
        data = self.socket.recv(_READ_BYTES)
        self.received += data
        return not data

    def is_answered(self) -> bool:
        """Whether a whole response is there; it is dropped."""
        if len(self.received) < SIZE.size or len(self.received) < SIZE.size + SIZE.unpack_from(self.received)[0]:
            return False
        self.received.clear()
        return True


class Crowd:
    """All connections of this process."""

    def __init__(self) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._connections: dict[int, Connection] = {}
        self._epoll = select.epoll()
        # Of connections that the server has closed: how long they were idle, in seconds.
        self._idle_s: list[float] = []

    def connect(self, address: str, connections: int, at_once: int) -> Any:
        """Opens connections, each of which asks for versions and metadata; returns when all have been answered.

        Args:
            at_once: so many are on the way there at a time.
        """
        host, _, port = address.rpartition(":")
        began = time.perf_counter()
        left, busy, took = connections, 0, []
        while left or busy:
            while left and busy < at_once:
                connection = Connection((host, int(port)))
                connection.to_say = list(hello())
                self._connections[connection.socket.fileno()] = connection
                self._epoll.register(connection.socket, select.EPOLLOUT)
                left, busy = left - 1, busy + 1
            done = self._step(began)
            busy -= len(done)
            took += [connection.answered_at - connection.began_at for connection in done]
        took.sort()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, **{f"p{percent}_s": percentile(took, percent) for percent in (50, 99, 100)}}

    def produce(self, topic: str, value_bytes: int, at_once: int) -> Any:
        """Puts one record through each connection; returns when all have been answered."""
        batch = build_batch([(time.time_ns() // 1_000_000, None, os.urandom(value_bytes), ())])
        request = produce(topic, 0, batch, acks=1)
        began = time.perf_counter()
        waiting, busy = list(self._connections.values()), 0
        while waiting or busy:
            while waiting and busy < at_once:
                connection = waiting.pop()
                connection.to_say = [request]
                self._epoll.modify(connection.socket, select.EPOLLOUT)
                busy += 1
            busy -= len(self._step(began))
        return {"seconds": time.perf_counter() - began}

    def _step(self, began: float) -> list[Connection]:
        """Waits for something to happen; returns the connections that have been answered all they asked."""
        if time.perf_counter() - began > _TIMEOUT_S:
            raise TimeoutError(f"the server has not answered all connections within {_TIMEOUT_S} s")
        done = []
        for number, events in self._epoll.poll(1):
            connection = self._connections[number]
            if events & select.EPOLLOUT:
                request = connection.to_say.pop(0)
                sent = connection.socket.send(request)
                if sent < len(request):
                    connection.to_say.insert(0, request[sent:])
                else:
                    self._epoll.modify(number, select.EPOLLIN)
            elif connection.take():
                if not connection.answered_at or connection.to_say:
                    raise ConnectionError("the server closed a connection")
                # While others still come.
                self._end(number)
            elif connection.is_answered():
                if connection.to_say:
                    self._epoll.modify(number, select.EPOLLOUT)
                else:
                    connection.answered_at = time.perf_counter()
                    done.append(connection)
        return done

    def await_end(self, timeout_s: float) -> Any:
        """Waits until the server has closed all connections; returns how long they were idle, in seconds."""
        end = time.perf_counter() + timeout_s
        while self._connections and time.perf_counter() < end:
            for number, _ in self._epoll.poll(1):
                if self._connections[number].take():
                    self._end(number)
        left = len(self._connections)
        idle_s, self._idle_s = self._idle_s, []
        self.leave()
        return {"idle_s": idle_s, "left": left}

    def _end(self, number: int) -> None:
        self._idle_s.append(time.perf_counter() - self._connections[number].answered_at)
        self._drop(number)

    def leave(self) -> None:
        """Closes all connections."""
        for number in list(self._connections):
            self._drop(number)

    def _drop(self, number: int) -> None:
        self._epoll.unregister(number)
        self._connections.pop(number).socket.close()


def main() -> None:
    crowd = Crowd()
    work(
        {
            "connect": crowd.connect,
            "produce": crowd.produce,
            "await_end": crowd.await_end,
            "leave": crowd.leave,
        }
    )


if __name__ == "__main__":
    main()
