"""A server process that comes back on the same port."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.processes import ServerProcess


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is on the same port again after it was killed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("--kafka-listen", "off", "--grpc-listen", f"127.0.0.1:{port}")
    with ServerProcess(tmp_path / "data", *arguments) as server:
        yield server
