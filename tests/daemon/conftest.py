"""Daemons on the test's own loop, and as processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.grpc_api.servers import Server


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A server on this test's loop; `@pytest.mark.parametrize("server", [{...}], indirect=True)` gives it settings."""
    server = await Server(tmp_path / "data", getattr(request, "param", None)).start()
    yield server
    await server.stop()
