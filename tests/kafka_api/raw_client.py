"""A Kafka client of nothing but frames: what it sends and reads is what the codec says, so a test names every field.

with RawClient(server.kafka) as client:
    client.call(METADATA, 12, {"topics": None})
"""

import socket
from collections.abc import Mapping
from struct import Struct as Packed
from types import TracebackType
from typing import Any, Final, Self

from logserver.kafka_api.codec import (
    Struct,
    header_is_flexible,
    read_response,
    response_header_is_flexible,
    versions_of,
    write_request,
)

PRODUCE: Final = 0
FETCH: Final = 1
LIST_OFFSETS: Final = 2
METADATA: Final = 3
OFFSET_COMMIT: Final = 8
OFFSET_FETCH: Final = 9
FIND_COORDINATOR: Final = 10
API_VERSIONS: Final = 18
CREATE_TOPICS: Final = 19
DELETE_TOPICS: Final = 20
DELETE_RECORDS: Final = 21
INIT_PRODUCER_ID: Final = 22
OFFSET_FOR_LEADER_EPOCH: Final = 23

_HEAD: Final = Packed(">hhih")
_SIZE: Final = Packed(">i")
_INT: Final = Packed(">i")


def request_frame(
    api_key: int, version: int, message: Mapping[str, Any] | Struct, correlation_id: int = 0, client_id: str = "raw"
) -> bytes:
    """Returns a whole request as it travels: its length, its header, the message."""
    name = client_id.encode()
    tags = b"\x00" if header_is_flexible(api_key, version) else b""
    body = write_request(api_key, version, message)
    frame = b"".join((_HEAD.pack(api_key, version, correlation_id, len(name)), name, tags, body))
    return _SIZE.pack(len(frame)) + frame


class RawClient:
    """One blocking connection. Requests may be sent ahead; responses are read in the order of the requests.

    Args:
        address: HOST:PORT, such as `LogServer.kafka`.
        timeout: seconds that a read waits before it raises TimeoutError.
    """

    def __init__(self, address: str, *, client_id: str = "raw", timeout: float = 30) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client_id = client_id
        self._next_id = 0
        self._sent: list[tuple[int, int, int]] = []

    def send(self, api_key: int, version: int, message: Mapping[str, Any] | Struct) -> int:
        """Sends a request without waiting; returns its correlation id."""
        self._next_id += 1
        self.socket.sendall(request_frame(api_key, version, message, self._next_id, self._client_id))
        self._sent.append((self._next_id, api_key, version))
        return self._next_id

    def send_bytes(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def skip(self) -> None:
        """Expects no response to the last request sent: Produce with acks=0."""
        self._sent.pop()

    def receive(self) -> Struct:
        """Reads the response to the oldest request that has none yet.

        Raises:
            EOFError: the server closed the connection.
        """
        expected, api_key, version = self._sent.pop(0)
        frame = self.receive_frame()
        (correlation_id,) = _INT.unpack_from(frame)
        assert correlation_id == expected, (correlation_id, expected)
        behind = _INT.size
        if response_header_is_flexible(api_key, version):
            assert frame[behind] == 0, "a response header has tagged fields"
            behind += 1
        return read_response(api_key, version, memoryview(frame)[behind:])

    def receive_frame(self) -> bytes:
        """Reads one frame, without its length.

        Raises:
            EOFError: the server closed the connection.
        """
        (size,) = _SIZE.unpack(self._exactly(_SIZE.size))
        return self._exactly(size)

    def call(self, api_key: int, version: int, message: Mapping[str, Any] | Struct) -> Struct:
        """Sends a request and returns its response."""
        assert not self._sent, "responses of requests sent before are still to be read"
        self.send(api_key, version, message)
        return self.receive()

    def is_closed(self) -> bool:
        """Waits for the server to say something; returns whether that is the end of the connection."""
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError(f"the connection ended after {len(data)} of {size} bytes")
            data += part
        return bytes(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def served_versions(api_key: int) -> range:
    """Returns the versions of an API that the server serves."""
    from logserver.kafka_api.registry import APIS

    return range(APIS[api_key].lowest, APIS[api_key].highest + 1)


def known_versions(api_key: int) -> range:
    """Returns the versions of an API that have a schema."""
    lowest, highest = versions_of(api_key)
    return range(lowest, highest + 1)
