"""Servers for tests of the gRPC door."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .servers import Server


@pytest.fixture(params=["real", "awaiting"])
def storage(request: pytest.FixtureRequest) -> str:
    """The real storage, and one whose reads always have to be awaited."""
    return str(request.param)


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest, storage: str) -> AsyncIterator[Server]:
    """A server on this test's loop; `@pytest.mark.parametrize("server", [{...}], indirect=True)` gives it settings."""
    settings = getattr(request, "param", None)
    server = await Server(tmp_path / "data", settings, awaiting=storage == "awaiting").start()
    yield server
    await server.stop()
