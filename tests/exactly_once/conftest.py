"""A server process that comes back on the same ports."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.processes import ServerProcess


def free_address() -> str:
    """Returns an address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def fixed_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is on the same ports again after it was killed."""
    arguments = ("--kafka-listen", free_address(), "--grpc-listen", free_address())
    # A member that was killed is given up soon.
    settings = {"group.consumer.session.timeout.ms": "1000", "group.consumer.heartbeat.interval.ms": "200"}
    with ServerProcess(tmp_path / "data", *arguments, settings=settings) as server:
        yield server
