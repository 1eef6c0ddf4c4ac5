"""What readers get of transactions (KIP-98).

Kafka's consumers leave out the records of aborted transactions themselves, by what a fetch tells them of these (Apache
Kafka: `CompletedFetch`); for readers behind other doors it is done here.
"""

from bisect import bisect_right
from collections.abc import Awaitable, Collection
from enum import IntEnum

from logserver_records.batch import BatchHeader, Buffer, whole_batches
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.reading import Slice

from logserver.broker.partition import Partition
from logserver.errors import ErrorCode, LogServerError


def without_aborted(data: Buffer, aborted: Collection[AbortedTransaction]) -> Buffer:
    """Returns whole batches, without copying if all of them stay.

    Args:
        data: whole batches of a log, in order.
        aborted: the aborted transactions that overlap them.
    """
    if not aborted:
        return data
    ranges = _ranges(aborted)
    view = memoryview(data)
    kept: list[memoryview] = []
    start = 0
    is_whole = True
    for position, header in whole_batches(data):
        # A marker is in no transaction itself.
        if header.is_transactional and not header.is_control and _is_in(ranges, header):
            is_whole = False
            if start < position:
                kept.append(view[start:position])
            start = position + header.size
    if is_whole:
        return data
    if start < len(view):
        kept.append(view[start:])
    return b"".join(kept)


_Ranges = dict[int, tuple[list[int], list[int]]]
"""By producer id: offsets where aborted transactions begin, and those of their markers."""


def _ranges(aborted: Collection[AbortedTransaction]) -> _Ranges:
    """Returns what finds the transaction of a batch at once: there may be as many of them as there are batches."""
    ranges: _Ranges = {}
    for one in sorted(aborted, key=lambda one: one.first_offset):
        firsts, lasts = ranges.setdefault(one.producer_id, ([], []))
        firsts.append(one.first_offset)
        lasts.append(one.last_offset)
    return ranges


def _is_in(ranges: _Ranges, header: BatchHeader) -> bool:
    found = ranges.get(header.producer_id)
    if found is None:
        return False
    firsts, lasts = found
    # A producer has one transaction after the other.
    number = bisect_right(firsts, header.base_offset) - 1
    return number >= 0 and header.base_offset < lasts[number]


class IsolationLevel(IntEnum):
    """What a reader gets; the numbers are Kafka's."""

    READ_UNCOMMITTED = 0
    """Everything that is durable."""
    READ_COMMITTED = 1
    """Up to the first record of an open transaction, and nothing of aborted ones."""

    def end(self, partition: Partition) -> int:
        """Returns the offset behind the last record that can be read; -1 while the partition is unavailable."""
        return partition.last_stable_offset if self else partition.high_watermark

    def read(self, partition: Partition, offset: int, max_bytes: int) -> Slice | Awaitable[Slice]:
        """Reads as `Partition.read`.

        Raises:
            LogServerError: as `Partition.read`.
        """
        return _read_committed(partition, offset, max_bytes) if self else partition.read(offset, max_bytes)


def _read_committed(partition: Partition, offset: int, max_bytes: int) -> Slice | Awaitable[Slice]:
    found = partition.read(offset, max_bytes, committed_only=True)
    if not isinstance(found, Slice):
        return _awaited(partition, offset, found)
    if not found.data:
        return found
    aborted = partition.aborted_transactions(offset, found.next_offset)
    if not isinstance(aborted, list):
        return _stripped(partition, offset, found, aborted)
    return Slice(without_aborted(found.data, aborted), found.next_offset)


async def _awaited(partition: Partition, offset: int, reading: Awaitable[Slice]) -> Slice:
    found = await reading
    if not found.data:
        return found
    aborted = partition.aborted_transactions(offset, found.next_offset)
    return await _stripped(partition, offset, found, aborted)


async def _stripped(
    partition: Partition,
    offset: int,
    found: Slice,
    looking: list[AbortedTransaction] | Awaitable[list[AbortedTransaction]],
) -> Slice:
    aborted = looking if isinstance(looking, list) else await looking
    check_kept(partition, offset)
    return Slice(without_aborted(found.data, aborted), found.next_offset)


def check_kept(partition: Partition, offset: int) -> None:
    """Checks that what was read a while ago is not deleted by now: which of it was aborted nobody knows any more then.

    Args:
        offset: where reading began.

    Raises:
        LogServerError: OFFSET_OUT_OF_RANGE.
    """
    start = partition.log_start_offset
    if start > offset:
        raise LogServerError(
            ErrorCode.offset_out_of_range,
            f"the records of {partition} from offset {offset} on were deleted up to {start}",
        )
