"""Frames that may be anything, each on a connection of its own."""

import socket
from contextlib import closing
from typing import Final

from .raw_client import API_VERSIONS, RawClient

_PATIENCE_S: Final = 1.0
"""Within this an answer comes, unless the request is one that waits for others."""
_LONG_S: Final = 30.0


def probe(address: str, data: bytes, before: bytes = b"") -> bytes:
    """Sends bytes on a new connection; returns all that comes until the server has answered one frame, or has closed
    the connection. What is not answered in a while has to end when this end says that nothing more will come.

    Args:
        before: a request to be answered on the connection before.

    Raises:
        TimeoutError: the server does neither.
    """
    with closing(_connected(address, _PATIENCE_S)) as connection:
        if before:
            connection.settimeout(_LONG_S)
            connection.sendall(before)
            assert _answer(connection)
            connection.settimeout(_PATIENCE_S)
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            # Closed before all was there: the beginning was enough.
            return b""
        return _answer(connection)


def _connected(address: str, timeout_s: float) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=timeout_s)


def _answer(connection: socket.socket) -> bytes:
    received = bytearray()
    while len(received) < 4 or len(received) < 4 + int.from_bytes(received[:4]):
        try:
            part = connection.recv(1 << 16)
        except ConnectionResetError:
            break
        except TimeoutError:
            if connection.gettimeout() == _LONG_S:
                raise
            connection.settimeout(_LONG_S)
            connection.shutdown(socket.SHUT_WR)
            continue
        if not part:
            break
        received += part
    return bytes(received)


def hang_up(address: str, data: bytes) -> None:
    """Sends bytes on a new connection, and is gone."""
    with closing(_connected(address, _LONG_S)) as connection:
        connection.sendall(data)


def check_well(address: str) -> None:
    """Checks that the server serves others."""
    with RawClient(address, timeout=_LONG_S) as client:
        assert client.call(API_VERSIONS, 0, {}).error_code == 0
