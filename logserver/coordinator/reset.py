"""Moving a group's committed offsets: where to, and doing it."""

from collections.abc import Awaitable, Callable, Sequence

from logserver.broker import Broker
from logserver.broker.peers import PartitionOffsets, Peers
from logserver.coordinator.descriptions import Reset
from logserver.coordinator.groups import GroupCoordinator
from logserver.coordinator.offsets import Place
from logserver.coordinator.requests import OffsetToCommit
from logserver.errors import ErrorCode, LogServerError

Target = Callable[[Place, PartitionOffsets, int | None], Awaitable[int]]
"""Where an offset is to go: gets the place, the partition's ends and the offset committed so far."""


def to_earliest() -> Target:
    """To the log start offset."""

    async def target(place: Place, ends: PartitionOffsets, committed: int | None) -> int:
        return ends.log_start_offset

    return target


def to_latest() -> Target:
    """To the high watermark."""

    async def target(place: Place, ends: PartitionOffsets, committed: int | None) -> int:
        return ends.high_watermark

    return target


def to_offset(offset: int) -> Target:
    """To an offset, the same in every partition."""

    async def target(place: Place, ends: PartitionOffsets, committed: int | None) -> int:
        return offset

    return target


def to_timestamp(peers: Peers, timestamp_ms: int) -> Target:
    """To the first record at or after a time, the high watermark where there is none."""

    async def target(place: Place, ends: PartitionOffsets, committed: int | None) -> int:
        return await peers.offset_for_timestamp(*place, timestamp_ms)

    return target


def by_shift(difference: int) -> Target:
    """By so many offsets from what is committed, backward if negative."""

    async def target(place: Place, ends: PartitionOffsets, committed: int | None) -> int:
        if committed is None:
            raise LogServerError(
                ErrorCode.invalid_request,
                f"nothing is committed for {place[0]}-{place[1]} that could be shifted; reset to a position instead",
            )
        return committed + difference

    return target


async def reset_offsets(
    groups: GroupCoordinator,
    broker: Broker,
    peers: Peers,
    group_id: str,
    topic: str,
    partitions: Sequence[int],
    target: Target,
    *,
    validate_only: bool = False,
) -> list[Reset]:
    """Moves the offsets of a group that has no members; offsets outside of the log become the nearest one inside.

    Args:
        partitions: none means all of the topic.

    Returns:
        One for each partition, in order of the numbers.

    Raises:
        LogServerError: NON_EMPTY_GROUP, UNKNOWN_TOPIC_OR_PARTITION for the topic, or the coordinator is not here.
    """
    count = len(broker.topic(topic).partitions)
    await groups.check_empty(group_id)
    places = [(topic, number) for number in (sorted(set(partitions)) if partitions else range(count))]
    committed = await groups.committed(group_id, places)
    resets = []
    for place in places:
        previous = committed[place].offset if place in committed else None
        try:
            ends = await peers.offsets(*place)
            wanted = await target(place, ends, previous)
        except LogServerError as error:
            resets.append(Reset(place, previous, -1, False, error))
            continue
        offset = min(max(wanted, ends.log_start_offset), ends.high_watermark)
        resets.append(Reset(place, previous, offset, offset != wanted))
    if validate_only:
        return resets
    moves = [OffsetToCommit(*reset.place, reset.offset) for reset in resets if reset.error is None]
    errors = iter(await groups.overwrite_offsets(group_id, moves) if moves else ())
    return [reset if reset.error is not None else reset._replace(error=next(errors)) for reset in resets]
