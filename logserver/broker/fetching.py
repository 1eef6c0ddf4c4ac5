"""Reading several partitions at once, with waiting until enough is there: what every door's fetch needs."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from logserver_records.batch import Buffer

from logserver.broker.isolation import IsolationLevel
from logserver.broker.partition import Partition
from logserver.errors import LogServerError


class PartitionLookup(Protocol):
    """Finds partitions."""

    def partition(self, topic: str, number: int) -> Partition:
        """Returns a partition; raises LogServerError if there is none."""
        ...


class FetchTarget(NamedTuple):
    """One partition of a fetch."""

    topic: str
    partition: int
    offset: int
    max_bytes: int
    leader_epoch: int | None = None


class FetchResult(NamedTuple):
    """What was read of one partition. `partition` is None if there is no such partition.

    `more` is true if more could be read than the limits on bytes let through.
    """

    partition: Partition | None
    data: Buffer
    next_offset: int
    error: LogServerError | None
    more: bool = False


class _Waiter:
    """Is set when any of its partitions has news."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def data_available(self, partition: Partition) -> None:
        self.event.set()


async def fetch(
    lookup: PartitionLookup,
    targets: Sequence[FetchTarget],
    *,
    max_wait_ms: int,
    min_bytes: int,
    max_bytes: int,
    isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> list[FetchResult]:
    """Reads partitions in turn; if less than `min_bytes` is there, waits for more, `max_wait_ms` at most.

    An error of any partition, a limit that is reached, or `max_wait_ms` of 0 answers at once. `max_bytes` is a soft
    limit over all: the first partition with data always gives at least one batch.
    """
    results = await _read_all(lookup, targets, max_bytes, isolation)
    if max_wait_ms <= 0 or _is_enough(results, min_bytes):
        return results
    waiter = _Waiter()
    waited_for = [result.partition for result in results if result.partition is not None]
    for partition in waited_for:
        partition.add_waiter(waiter)
    try:
        async with asyncio.timeout(max_wait_ms / 1000):
            while True:
                # What came between the read above and add_waiter is seen by reading first.
                results = await _read_all(lookup, targets, max_bytes, isolation)
                if _is_enough(results, min_bytes):
                    return results
                await waiter.event.wait()
                waiter.event.clear()
    except TimeoutError:
        return await _read_all(lookup, targets, max_bytes, isolation)
    finally:
        for partition in waited_for:
            partition.remove_waiter(waiter)


def _is_enough(results: Sequence[FetchResult], min_bytes: int) -> bool:
    size = sum(len(result.data) for result in results)
    return size >= max(min_bytes, 1) or any(result.error or result.more for result in results)


async def _read_all(
    lookup: PartitionLookup, targets: Sequence[FetchTarget], max_bytes: int, isolation: IsolationLevel
) -> list[FetchResult]:
    results = []
    left = max_bytes
    for target in targets:
        result = await _read_one(lookup, target, left, isolation, nothing_yet=left == max_bytes)
        left -= len(result.data)
        results.append(result)
    return results


async def _read_one(
    lookup: PartitionLookup, target: FetchTarget, left: int, isolation: IsolationLevel, *, nothing_yet: bool
) -> FetchResult:
    partition = None
    try:
        partition = lookup.partition(target.topic, target.partition)
        partition.check_epoch(target.leader_epoch)
        # As of now: what is committed while the read is awaited is not what a limit held back.
        end = isolation.end(partition)
        if left <= 0 and not nothing_yet:
            return FetchResult(partition, b"", target.offset, None, target.offset < end)
        found = isolation.read(partition, target.offset, min(target.max_bytes, max(left, 0)))
        if not isinstance(found, tuple):
            found = await found
    except LogServerError as error:
        return FetchResult(partition, b"", target.offset, error)
    if len(found.data) > left and not nothing_yet:
        # Its first batch alone does not fit; the next fetch begins with it or comes to it.
        return FetchResult(partition, b"", target.offset, None, True)
    return FetchResult(partition, found.data, found.next_offset, None, found.next_offset < end)
