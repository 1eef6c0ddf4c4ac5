"""Worker process: writes to Redis Streams and NATS JetStream made beforehand, without a client's work in between."""

import asyncio
import json
import select
import socket
import time
from typing import Any, Final

from benchmarks.support.usage import Meter
from benchmarks.support.values import values
from benchmarks.support.worker import CannotDo, work

_AT_ONCE: Final = 500
_UNDER_WAY: Final = 4 * _AT_ONCE
_READ_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 120
_INBOX: Final = "_INBOX.benchmark"


def redis(address: str, server_pid: int, topic: str, records: int, value_bytes: int) -> Any:
    """Adds so many records to a stream."""
    name = topic.encode()
    parts = (b"XADD", name, b"*", b"v")
    head = b"*5\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    requests = [head + b"$%d\r\n%s\r\n" % (value_bytes, value) for value in values(value_bytes)[:_AT_ONCE]]
    with _connected(address) as connection:
        # An id has digits and a dash only, so what begins an answer is in none.
        return _pump(connection, server_pid, requests, records, b"$", b"-ERR")


def nats(address: str, server_pid: int, topic: str, records: int, value_bytes: int) -> Any:
    """Publishes so many records to a stream, which is made first."""
    asyncio.run(_make_stream(address, topic))
    head = f"PUB {topic} {_INBOX} {value_bytes}\r\n".encode()
    requests = [head + value + b"\r\n" for value in values(value_bytes)[:_AT_ONCE]]
    hello = json.dumps({"verbose": False, "pedantic": False, "lang": "python", "version": "1", "protocol": 1})
    with _connected(address) as connection:
        connection.recv(_READ_BYTES)
        connection.sendall(f"CONNECT {hello}\r\nSUB {_INBOX} 1\r\nPING\r\n".encode())
        while b"PONG" not in connection.recv(_READ_BYTES):
            pass
        return _pump(connection, server_pid, requests, records, b'"seq":', b'"error"')


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


async def _make_stream(address: str, topic: str) -> None:
    import nats as client
    from nats.js.api import StorageType, StreamConfig

    opened = await client.connect(f"nats://{address}")
    await opened.jetstream().add_stream(StreamConfig(name=topic, subjects=[topic], storage=StorageType.FILE))
    await opened.close()


def _pump(
    connection: socket.socket, server_pid: int, requests: list[bytes], records: int, mark: bytes, error: bytes
) -> Any:
    """Sends so many requests, with up to 2,000 unanswered; every answer has one mark in it."""
    block = b"".join(requests)
    blocks = max(records // len(requests), 1)
    sent = answered = 0
    unsent = memoryview(b"")
    rest = b""
    deadline = time.perf_counter() + _TIMEOUT_S
    connection.setblocking(False)
    with Meter(server_pid) as meter:
        while answered < blocks * len(requests):
            if time.perf_counter() > deadline:
                raise CannotDo(f"{blocks * len(requests) - answered} records have not been answered")
            if not unsent and sent < blocks and sent * len(requests) - answered < _UNDER_WAY:
                unsent, sent = memoryview(block), sent + 1
            readable, writable, _ = select.select([connection], [connection] if unsent else [], [], 1)
            if readable:
                data = rest + connection.recv(_READ_BYTES)
                if error in data:
                    raise CannotDo(f"the server answers {data[:200]!r}")
                answered += data.count(mark)
                # A mark may be cut in two.
                rest = data[max(data.rfind(mark) + len(mark), len(data) - len(mark) + 1) :]
            if writable:
                unsent = unsent[connection.send(unsent) :]
    run = meter.to_json(None)
    return {**run, "records": blocks * len(requests)}


if __name__ == "__main__":
    work({"redis": redis, "nats": nats})
