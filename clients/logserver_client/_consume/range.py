"""Which offsets of which partitions a replay reads, worked out before it starts."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from logserverpb.v1 import common_pb2

from logserver_client._consume.core import EARLIEST, LATEST, ConsumerCore
from logserver_client._positions import position_message, timestamp_ms
from logserver_client._transport.offsets import unknown_partition
from logserver_client.errors import OffsetOutOfRange
from logserver_client.types import OffsetAndTimestamp, Position, Timestamp, TopicPartition


class OffsetRange(NamedTuple):
    """Offsets from `start` (inclusive) to `end` (exclusive); none of them if the start is not below the end."""

    start: int
    end: int


class Plan(NamedTuple):
    """What a replay reads."""

    ranges: dict[TopicPartition, OffsetRange]
    skipped: list[TopicPartition]
    """Partitions that end before the offset to start from."""
    shortened: list[TopicPartition]
    """Partitions whose log starts behind the offset to start from: records there have been deleted."""


async def plan(core: ConsumerCore, topic: str, start: Position, end: Position | None, partition: int | None) -> Plan:
    """Works out the ranges as of now.

    Raises:
        UnknownTopicOrPartition: there is no such topic or partition.
        OffsetOutOfRange: the offset to start from is outside of the partition, or beyond the end of each of them.
        ValueError: the end is before the start, or a position makes no sense.
    """
    _check_order(start, end)
    partitions = await core.partitions_for(topic)
    if partition is not None:
        chosen = TopicPartition(topic, partition)
        if chosen not in partitions:
            raise unknown_partition(chosen, len(partitions))
        partitions = [chosen]
    high = await core.list_offsets(dict.fromkeys(partitions, LATEST))
    low = await core.list_offsets(dict.fromkeys(partitions, EARLIEST))
    starts = await _resolve(core, start, low, high)
    ends = await _resolve(core, "latest" if end is None else end, low, high)
    found = Plan({}, [], [])
    for tp in partitions:
        first, last = low[tp].offset, high[tp].offset
        if isinstance(start, int) and not first <= start <= last:
            if partition is not None:
                raise _out_of_range(f"{tp} has the offsets {first} to {last} (exclusive), {start} is not among them")
            if start > last:
                found.skipped.append(tp)
                continue
            found.shortened.append(tp)
        found.ranges[tp] = OffsetRange(max(starts[tp], first), min(ends[tp], last))
    if not found.ranges:
        furthest = max(at.offset for at in high.values())
        raise _out_of_range(f"every partition of {topic} ends before offset {start}; the furthest ends at {furthest}")
    return found


async def _resolve(
    core: ConsumerCore,
    position: Position,
    low: Mapping[TopicPartition, OffsetAndTimestamp],
    high: Mapping[TopicPartition, OffsetAndTimestamp],
) -> dict[TopicPartition, int]:
    """Returns the offset of a position in each partition; a time behind the last record is the end."""
    if position == "earliest":
        return {tp: at.offset for tp, at in low.items()}
    if position == "latest":
        return {tp: at.offset for tp, at in high.items()}
    message: common_pb2.Position = position_message(position)
    if message.WhichOneof("at") == "offset":
        return dict.fromkeys(high, message.offset)
    found = await core.list_offsets(dict.fromkeys(high, message))
    return {tp: found[tp].offset if found[tp].offset >= 0 else high[tp].offset for tp in high}


def _check_order(start: Position, end: Position | None) -> None:
    for position in (start, end):
        if position is not None:
            position_message(position)
    if isinstance(start, int) and isinstance(end, int) and end < start:
        raise ValueError(f"the end, offset {end}, is before the start, offset {start}")
    if (
        isinstance(start, datetime | Timestamp)
        and isinstance(end, datetime | Timestamp)
        and timestamp_ms(end) < timestamp_ms(start)
    ):
        raise ValueError(f"the end, {end}, is before the start, {start}")


def _out_of_range(message: str) -> OffsetOutOfRange:
    return OffsetOutOfRange(1, "OFFSET_OUT_OF_RANGE", message)
