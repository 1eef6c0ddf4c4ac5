"""One server for all examples: their topics and groups have names of their own."""

from collections.abc import Iterator

import pytest

from logserver.testing import LogServer


@pytest.fixture(scope="session")
def server() -> Iterator[LogServer]:
    """A server that misses dead members of groups soon."""
    settings = {
        "group.min.session.timeout.ms": "500",
        "group.consumer.session.timeout.ms": "1500",
        "group.consumer.heartbeat.interval.ms": "300",
    }
    with LogServer(settings=settings) as server:
        yield server
