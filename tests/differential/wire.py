"""One connection to a server: requests as frames, responses as dicts."""

import socket
from collections.abc import Mapping
from struct import Struct
from typing import Any, Final

from .messages import has_tags, read_response, write_request

_HEAD: Final = Struct(">hhih")
_INT: Final = Struct(">i")
CLIENT_ID: Final = "differential"
_ANSWER_SECONDS: Final = 5


class Closed(Exception):
    """The server closed the connection instead of answering."""


class Wire:
    """One blocking connection; responses are read in the order of the requests.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = 0

    def send(self, api_key: int, version: int, message: Mapping[str, Any]) -> None:
        """Sends a request."""
        tags = b"\0" if has_tags(api_key, version, "request") else b""
        self.send_body(api_key, version, tags + write_request(api_key, version, message))

    def send_body(self, api_key: int, version: int, body: bytes) -> None:
        """Sends a request whose bytes behind the client id are as given."""
        self._number += 1
        name = CLIENT_ID.encode()
        frame = _HEAD.pack(api_key, version, self._number, len(name)) + name + body
        try:
            self._socket.sendall(_INT.pack(len(frame)) + frame)
        except OSError as error:
            raise Closed("closed") from error

    def receive(self, api_key: int, version: int) -> dict[str, Any]:
        """Reads the next response.

        Raises:
            Closed: there is none, the connection has ended.
            ValueError: it can't be read.
            TimeoutError: there is none.
        """
        tags = has_tags(api_key, version, "response")
        data = self._frame()
        return read_response(api_key, version, data[_INT.size + tags :])

    def call(self, api_key: int, version: int, message: Mapping[str, Any]) -> dict[str, Any]:
        """Sends a request and returns its response."""
        self.send(api_key, version, message)
        return self.receive(api_key, version)

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def _frame(self) -> bytes:
        (size,) = _INT.unpack(self._exactly(_INT.size))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                part = self._socket.recv(min(size - len(data), 1 << 20))
            except ConnectionError:
                part = b""
            if not part:
                raise Closed("closed")
            data += part
        return bytes(data)
