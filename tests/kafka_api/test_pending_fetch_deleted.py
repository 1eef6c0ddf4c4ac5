"""Fetches of committed records that wait while what they have read is deleted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from logserver.broker.fetch_sessions import FetchPartition
from logserver.broker.isolation import IsolationLevel
from logserver.errors import ErrorCode
from logserver.kafka_api.pending_fetch import FetchedPartition, PendingFetch
from tests.broker.harness import batch, until
from tests.broker.nodes import BrokerNode, store
from tests.broker.test_partition_transactions import ABORT, end, send


@pytest_asyncio.fixture(params=["real", "awaiting"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BrokerNode]:
    node = BrokerNode(tmp_path / "data", request.param)
    await node.start()
    yield node
    await node.stop()


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_nothing_aborted_is_told_as_committed(node: BrokerNode, is_deleted: bool) -> None:
    partition = await node.topic()
    await send(partition, "lost", 0)
    await end(partition, ABORT)
    log: Any = partition.log
    told: list[list[FetchedPartition]] = []
    asked = FetchPartition("t", None, 0, 0, 1 << 20, -1, -1)
    fetch = PendingFetch(
        lambda asked: partition,
        [asked],
        min_bytes=1000,
        max_bytes=1 << 20,
        isolation=IsolationLevel.READ_COMMITTED,
        done=told.append,
    )
    fetch.start(600_000)
    await until(lambda: fetch._waited_for is not None)
    assert not told
    log.roll()
    await store(partition, batch("a"))
    if is_deleted:
        log.delete_records_before(2)
        log.apply_retention(node.clock.now_ms())
    await store(partition, batch("x" * 1000))
    await until(lambda: bool(told))
    ((result,),) = told
    if is_deleted:
        assert result.error is not None and result.error.code is ErrorCode.offset_out_of_range
        assert not result.chunks
    else:
        assert [(one.producer_id, one.first_offset) for one in result.aborted] == [(7, 0)]
