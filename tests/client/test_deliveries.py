"""The futures of many records together: their order, when they have ended, how splits are followed."""

import asyncio
from typing import Any

import pytest
from logserver_client import Deliveries, RecordMetadata
from logserver_client._produce.batch import Batch
from logserver_client._produce.deliveries import AioDeliveries, BaseDeliveries
from logserver_client._produce.futures import AioRecordFuture, RecordFuture
from logserver_client.errors import LogServerError, client_closed, message_too_large
from logserver_records.compression import Compression

from .accumulating import Accumulating


def sealed(world: Accumulating, partition: int, count: int) -> Batch:
    for number in range(count):
        world.append(str(number).encode(), world.topic.queues[partition])
    (batch,) = world.sealed()
    return batch


def filled(deliveries: BaseDeliveries[Any]) -> tuple[Batch, Batch]:
    """Two pieces, of 6 and 3 records, in two batches: the first one has 0, 2, 3 and the second piece, in this order."""
    world = Accumulating(partitions=2)
    one, two = sealed(world, 0, 7), sealed(world, 1, 3)
    deliveries.begin(6, 100)
    deliveries.add([0, 2, 3], one, 1)
    deliveries.add([1, 4, 5], two, 0)
    deliveries.begin(3, 200)
    deliveries.add(range(3), one, 4)
    return one, two


def test_results_come_in_the_order_of_the_values() -> None:
    deliveries = Deliveries(RecordFuture)
    one, two = filled(deliveries)
    one.complete(10)
    two.complete(50)
    expected = [
        *(("t", 0, 11, 100), ("t", 1, 50, 100), ("t", 0, 12, 100)),
        *(("t", 0, 13, 100), ("t", 1, 51, 100), ("t", 1, 52, 100)),
        *(("t", 0, 14, 200), ("t", 0, 15, 200), ("t", 0, 16, 200)),
    ]
    assert deliveries.result(0) == [RecordMetadata(*fields) for fields in expected]
    assert [future.result(0) for future in deliveries] == deliveries.result(0)
    assert deliveries[-1].result(0) == deliveries[8].result(0) == expected[8]
    assert [future.result(0) for future in deliveries[4:6]] == expected[4:6]
    with pytest.raises(IndexError):
        deliveries[9]


def test_they_are_done_when_all_are() -> None:
    deliveries = Deliveries(RecordFuture)
    one, two = filled(deliveries)
    called: list[Deliveries] = []
    deliveries.add_done_callback(called.append)
    two.complete(0)
    assert not deliveries.done()
    with pytest.raises(TimeoutError):
        deliveries.result(0)
    assert not called
    one.complete(0)
    assert deliveries.done() and called == [deliveries]
    deliveries.add_done_callback(called.append)
    assert len(called) == 2, "at once"


def test_nothing_is_done_at_once() -> None:
    deliveries = Deliveries(RecordFuture)
    assert deliveries.done() and not deliveries
    assert deliveries.result(0) == []
    assert deliveries.exception(0) is None


def test_the_first_error_is_raised_and_all_are_listed() -> None:
    deliveries = Deliveries(RecordFuture)
    one, two = filled(deliveries)
    closed, large = client_closed("closed"), message_too_large("large")
    two.fail(large)
    assert deliveries.failed() == [(1, large), (4, large), (5, large)]
    one.fail(closed)
    assert [place for place, error in deliveries.failed() if error is closed] == [0, 2, 3, 6, 7, 8]
    assert deliveries.exception(0) is closed
    with pytest.raises(LogServerError, match="closed"):
        deliveries.result(0)


def test_splits_are_followed() -> None:
    deliveries = Deliveries(RecordFuture)
    one, two = filled(deliveries)
    called: list[Deliveries] = []
    deliveries.add_done_callback(called.append)
    two.complete(50)
    one.stamp(1, 0, 0)
    left, right = one.split(Compression.NONE, None)
    assert (left.count, right.count) == (4, 3)
    assert not deliveries.done()
    left.complete(10)
    assert not deliveries.done() and not called
    right.split(Compression.NONE, None)
    for _, part in right.parts:
        part.complete(20 + part.count)
    assert deliveries.done() and called
    assert [metadata.offset for metadata in deliveries.result(0)] == [11, 50, 12, 13, 51, 52, 22, 23, 21]


def test_what_was_placed_nowhere_is_known() -> None:
    deliveries = Deliveries(RecordFuture)
    filled(deliveries)
    assert deliveries.left_out() == []
    deliveries.begin(5, 0)
    deliveries.add([1, 3], deliveries[0]._batch, 0)
    assert deliveries.left_out() == [0, 2, 4]


async def test_all_can_be_awaited_at_once() -> None:
    deliveries = AioDeliveries(AioRecordFuture)
    one, two = filled(deliveries)
    with pytest.raises(asyncio.InvalidStateError):
        deliveries.result()
    loop = asyncio.get_running_loop()
    loop.call_soon(one.complete, 10)
    loop.call_soon(two.complete, 50)
    assert await deliveries == deliveries.result()
    assert deliveries.exception() is None
    assert (await deliveries[1]).offset == 50


async def test_awaiting_all_raises_the_first_error_when_all_have_ended() -> None:
    deliveries = AioDeliveries(AioRecordFuture)
    one, two = filled(deliveries)
    loop = asyncio.get_running_loop()
    loop.call_soon(one.fail, client_closed("closed"))
    loop.call_later(0.01, two.complete, 50)
    with pytest.raises(LogServerError, match="closed"):
        await deliveries
    assert two.done
    assert deliveries.exception() is one.error
