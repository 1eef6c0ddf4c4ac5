"""The pytest plugin: the fixture `log_server` is a real server. Nothing is imported until a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from logserver.testing import LogServer


@pytest.fixture
def log_server() -> Iterator[LogServer]:
    """A running log server of this test's own; `log_server.grpc` is its HOST:PORT."""
    from logserver.testing import LogServer

    with LogServer() as server:
        yield server
