"""States over real storage: rounds, leadership that comes and goes, what is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from logserver.coordinator.share_state.state_key import StateKey
from tests.broker.nodes import KINDS

from .nodes import KEY, TOPIC_ID, StatesNode, Writer, acknowledged, available


@pytest_asyncio.fixture(params=KINDS)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StatesNode]:
    """A node over each kind of storage."""
    node = await StatesNode(tmp_path / "data", request.param).start()
    yield node
    await node.stop()


async def test_what_was_written_is_there_after_a_crash(node: StatesNode) -> None:
    writer = Writer(node)
    assert await writer.open() is None
    writer.change(available(0, 9))
    await writer.settled()
    writer.change(acknowledged(3, 4))
    writer.change(acknowledged(6))
    await writer.settled()
    assert writer.taken == ["snapshot", "delta"]
    await node.crash()
    await node.start()
    image = await node.image()
    assert image is not None and image.stored is not None
    assert image.stored.ranges == [
        available(0, 2),
        acknowledged(3, 4),
        available(5),
        acknowledged(6),
        available(7, 9),
    ]
    assert list(node.states.keys()) == [KEY]


async def test_a_round_writes_all_who_have_something_as_one_batch(node: StatesNode) -> None:
    writers = [Writer(node, StateKey("g", TOPIC_ID, number)) for number in range(10)]
    for writer in writers:
        await writer.open()
        writer.change(available(0, 9))
    for writer in writers:
        await writer.settled()
    for runtime in node.states._shards:
        assert runtime.partition.log_end_offset in (0, *range(2, 22, 2))
