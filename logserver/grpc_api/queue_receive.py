"""Receive: messages once, under locks that only time ends."""

import asyncio
from contextlib import suppress
from typing import Final

from logserver_records.varint import unsigned_varint
from logserverpb.v1 import queues_pb2

from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.handles import Acquisition
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import MOST_MS
from logserver.coordinator.delivery.unsettled import NOBODY
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.queue_messages import delivered

_DEFAULT_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 16 << 20
_MOST_MESSAGES: Final = 10_000
_DELIVERED_TAG: Final = bytes(((queues_pb2.ReceiveResponse.DELIVERED_FIELD_NUMBER << 3) | 2,))

_Found = tuple[QueuePartition, Acquisition]


async def receive(queues: QueueCoordinator, queue: QueueName, request: queues_pb2.ReceiveRequest) -> bytes:
    """Returns the bytes of a ReceiveResponse.

    Raises:
        LogServerError: INVALID_REQUEST, or the queue can't be used here.
    """
    if min(request.max_messages, request.max_bytes, request.wait_ms, request.lock_ms) < 0:
        raise LogServerError(ErrorCode.invalid_request, "max_messages, max_bytes, wait_ms and lock_ms are not below 0")
    if request.lock_ms > MOST_MS:
        raise LogServerError(ErrorCode.invalid_request, f"lock_ms is at most {MOST_MS}")
    lock_ms = request.lock_ms or queues.lock_ms(queue)
    got: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
    taken: list[Acquisition] = []

    def deliver(place: QueuePartition, found: Acquisition) -> None:
        if got.done():
            _give_back(place, found)
        else:
            got.set_result((place, found))

    def cancelled(reason: str) -> None:
        if not got.done():
            got.set_exception(LogServerError(ErrorCode.not_coordinator, reason))

    waiter = Waiter(
        NOBODY,
        deliver,
        cancelled,
        lock_ms=lock_ms,
        settle=request.settle,
        max_records=min(request.max_messages or 1, _MOST_MESSAGES),
        max_bytes=min(request.max_bytes or _DEFAULT_BYTES, _MOST_BYTES),
        once=True,
        took=taken.append,
    )
    for place in await queues.open(queue, begin=True):
        if place.ended is not None:
            waiter.leave()
            got.cancel()
            raise place.ended
        if not got.done():
            place.dispatcher.add(waiter)
    try:
        # Even without waiting there is one turn to look at what there is.
        found = await _first(got, waiter, taken, max(request.wait_ms / 1000, _ONE_LOOK_S))
    except asyncio.CancelledError:
        waiter.leave()
        if got.done() and not got.cancelled() and got.exception() is None:
            _give_back(*got.result())
        got.cancel()
        raise
    got.cancel()
    incarnation = queue.record.incarnation if queue.record is not None else ""
    head = queues_pb2.ReceiveResponse(incarnation=incarnation, lock_ms=lock_ms).SerializeToString()
    if found is None:
        return head
    place, acquisition = found
    try:
        ranges, batches = await place.read(acquisition.ranges)
    except BaseException:
        _give_back(place, acquisition)
        raise
    if not ranges:
        return head
    records = delivered(place.number, ranges, batches)
    return b"".join((head, _DELIVERED_TAG, unsigned_varint(len(records)), records))


async def _first(
    got: "asyncio.Future[_Found]", waiter: Waiter, taken: list[Acquisition], wait_s: float
) -> _Found | None:
    """Returns what comes in time, None if nothing does."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            return await asyncio.shield(got)
    waiter.leave()
    # What was acquired counts as a delivery, so it is not left to others because the disk is slow.
    return await got if taken or got.done() else None


_ONE_LOOK_S: Final = 0.02
"""Nobody waits shorter than it takes to look at what there is."""


def _give_back(place: QueuePartition, found: Acquisition) -> None:
    for acquired in found.ranges:
        place.release(acquired.handle)
    place.changed()
