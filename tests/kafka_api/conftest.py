"""A server of the Kafka door, a raw client of it, and Apache Kafka's tools against it."""

from collections.abc import Iterator

import pytest

from logserver.testing import LogServer

from ..other_clients.kafka_tools import KafkaShell
from .kafka_shell import Shell
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


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaShell]:
    """The process of Apache Kafka's tools."""
    with KafkaShell() as kafka:
        yield kafka


@pytest.fixture
def shell(kafka: KafkaShell, server: LogServer) -> Shell:
    """Runs Apache Kafka's tools against the test's server."""
    return Shell(kafka, server.kafka)
