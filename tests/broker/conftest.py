"""Brokers over every kind of storage."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .nodes import KINDS, BrokerNode


@pytest.fixture(params=KINDS)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BrokerNode]:
    """A broker, once for every kind of storage."""
    node = BrokerNode(tmp_path / "data", request.param)
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[BrokerNode]:
    """A broker whose commits come when the test says so."""
    node = BrokerNode(tmp_path / "data", "held")
    await node.start()
    yield node
    await node.stop()
