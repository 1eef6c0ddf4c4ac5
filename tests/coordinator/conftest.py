"""Coordinators over every kind of storage."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.nodes import KINDS

from .nodes import GroupsNode


@pytest.fixture(params=KINDS)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GroupsNode]:
    """A coordinator, once for every kind of storage, and a topic `t` of four partitions."""
    node = await GroupsNode(tmp_path / "data", request.param).start()
    await node.node.topic("t", 4)
    yield node
    await node.stop()


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[GroupsNode]:
    """A coordinator over the real storage, and a topic `t` of four partitions."""
    node = await GroupsNode(tmp_path / "data").start()
    await node.node.topic("t", 4)
    yield node
    await node.stop()


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[GroupsNode]:
    """A coordinator whose commits come when the test says so, and a topic `t` of four partitions."""
    node = await GroupsNode(tmp_path / "data", "held").start()
    await node.node.topic("t", 4)
    # The topic of offsets is there, and nothing is under way.
    await node.committing(node.commit(0, "first"))
    yield node
    await node.stop()
