"""A server of the Kafka door, and a raw client of it."""

from collections.abc import Iterator

import pytest

from logserver.testing import LogServer

from .raw_client import RawClient


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A server of its own for the test."""
    with LogServer() as server:
        yield server


@pytest.fixture
def client(server: LogServer) -> Iterator[RawClient]:
    """A connection to the test's server."""
    with RawClient(server.kafka) as client:
        yield client
