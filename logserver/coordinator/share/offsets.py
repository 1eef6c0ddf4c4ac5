"""Where share groups begin, and how far they are: shown, set and forgotten from outside (KIP-932)."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple

from logserver.broker.peers import Peers
from logserver.coordinator.shard_runtime import ShardRuntime
from logserver.coordinator.share.coordinator import ShareGroupCoordinator
from logserver.coordinator.share.state import ShareState
from logserver.coordinator.share.topics import ShareTopics, ShareTopicState
from logserver.coordinator.topics_view import TopicsView
from logserver.errors import ErrorCode, LogServerError

UNKNOWN: Final = -1
_AT_A_TIME: Final = 200


class ShareOffset(NamedTuple):
    """How far a share group is in a partition."""

    start_offset: int
    """Everything below is settled; -1 where that is not decided yet."""
    leader_epoch: int
    lag: int
    """Records from there on that are not settled; -1 where that is not known."""


_NOTHING: Final = ShareOffset(UNKNOWN, 0, UNKNOWN)

Numbers = Mapping[str, Mapping[int, int]]
"""By topic id and partition."""


class ShareOffsets:
    """The offsets of the share groups of this node.

    Args:
        shard: returns the shard of a group that may be new.
        existing: returns the shard of a group; raises GROUP_ID_NOT_FOUND if there never was a group.
        topics: those that exist.
    """

    def __init__(
        self,
        members: ShareGroupCoordinator,
        shard: Callable[[str], Awaitable[ShardRuntime]],
        existing: Callable[[str], Awaitable[ShardRuntime]],
        state: ShareState,
        peers: Peers,
        topics: TopicsView,
    ) -> None:
        self._members = members
        self._shard = shard
        self._existing = existing
        self._state = state
        self._peers = peers
        self._topics = topics

    # Looking

    async def topics_of(self, group_id: str) -> dict[str, frozenset[int]]:
        """Returns the partitions that a group has begun to work on, by topic name; nothing for what is no share group.

        Raises:
            LogServerError: the coordinator is not here.
        """
        try:
            shard = await self._existing(group_id)
        except LogServerError as error:
            if error.code not in (ErrorCode.group_id_not_found, ErrorCode.invalid_group_id):
                raise
            return {}

        group_topics = await shard.look(
            lambda state: group.topics if (group := state.share.groups.get(group_id)) is not None else ShareTopics()
        )
        found = {}
        for topic_id, known in group_topics.initialized.items():
            view = self._topics.by_id(topic_id)
            if view is not None:
                found[view.name] = known.partitions
        return found

    async def of(self, group_id: str, topic: str, number: int) -> ShareOffset:
        """Returns how far a group is in a partition.

        Raises:
            LogServerError: the end of the partition can't be read.
        """
        view = self._topics.by_name(topic)
        if view is None:
            return _NOTHING
        try:
            summary = await self._state.summary(group_id, view.topic_id, number)
        except LogServerError:
            # Kafka's answer, too: it can't be told now.
            return _NOTHING
        if summary is None or summary.start_offset == UNKNOWN:
            return _NOTHING if summary is None else _NOTHING._replace(leader_epoch=summary.leader_epoch)
        lag = UNKNOWN
        if summary.delivery_complete_count != UNKNOWN:
            end = (await self._peers.offsets(topic, number)).high_watermark
            lag = max(end - summary.start_offset - summary.delivery_complete_count, 0)
        return ShareOffset(summary.start_offset, summary.leader_epoch, lag)

    # Changing

    async def alter(self, group_id: str, offsets: Numbers) -> dict[tuple[str, int], LogServerError | None]:
        """Sets where a group without members begins, and forgets what was delivered to it; a group that is not there
        is made.

        Args:
            offsets: of partitions that exist.

        Returns:
            What has gone wrong, by topic id and partition; None where nothing has.

        Raises:
            LogServerError: INVALID_GROUP_ID, GROUP_ID_NOT_FOUND for a group of another type, NON_EMPTY_GROUP, or the
                coordinator is not here.
        """
        for topic_id in offsets:
            self._state.check_unused(group_id, topic_id)
        named = {}
        for topic_id, numbers in offsets.items():
            view = self._topics.by_id(topic_id)
            named[topic_id] = ShareTopicState(view.name if view is not None else "", frozenset(numbers))
        shard = await self._shard(group_id)
        places = [(topic_id, number) for topic_id, numbers in offsets.items() for number in numbers]
        async with self._members.turn(group_id):
            epoch = await shard.decide(
                group_id, lambda state, now_ms: state.begin_share_offsets(group_id, named, now_ms)
            )
            outcomes = dict(zip(places, await self._set(group_id, epoch, places, offsets), strict=True))
            made = _by_topic(place for place, error in outcomes.items() if error is None)
            failed = _by_topic(place for place, error in outcomes.items() if error is not None)
            await shard.decide(group_id, lambda state, _: state.share.initialized(group_id, made))
            if failed:
                await shard.decide(group_id, lambda state, _: state.share.not_initialized(group_id, failed))
        return outcomes

    async def _set(
        self, group_id: str, epoch: int, places: list[tuple[str, int]], offsets: Numbers
    ) -> list[LogServerError | None]:
        async def one(topic_id: str, number: int) -> LogServerError | None:
            try:
                await self._state.begin_at(group_id, epoch, topic_id, number, offsets[topic_id][number])
            except LogServerError as error:
                return error
            return None

        outcomes: list[LogServerError | None] = []
        for at in range(0, len(places), _AT_A_TIME):
            outcomes += await asyncio.gather(*(one(*place) for place in places[at : at + _AT_A_TIME]))
        return outcomes

    async def delete(self, group_id: str, topic_ids: Collection[str]) -> dict[str, LogServerError | None] | None:
        """Forgets what a group without members has done in topics.

        Returns:
            What has gone wrong, by topic id; None where nothing has. None for a group that has never begun anywhere.

        Raises:
            LogServerError: INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, or the coordinator is not here.
        """
        shard = await self._existing(group_id)
        kept = {topic_id for topic_id in topic_ids if self._state.keeps(group_id, topic_id)}
        wanted = [topic_id for topic_id in topic_ids if topic_id not in kept]
        async with self._members.turn(group_id):
            partitions = await shard.decide(
                group_id, lambda state, now_ms: state.begin_share_forgetting(group_id, wanted, now_ms)
            )
            if partitions is None:
                return None
            if partitions:
                await self._state.delete(group_id, partitions)
                await shard.decide(group_id, lambda state, _: state.share.forgotten(group_id, partitions))
        return {topic_id: self._refusal(group_id, topic_id, kept, partitions) for topic_id in topic_ids}

    @staticmethod
    def _refusal(
        group_id: str, topic_id: str, kept: Collection[str], partitions: Collection[str]
    ) -> LogServerError | None:
        if topic_id in kept:
            return LogServerError(
                ErrorCode.invalid_request,
                f"{group_id[:100]!r} is a declared queue: what it has done is forgotten when the queue is deleted",
            )
        if topic_id in partitions:
            return None
        return LogServerError(
            ErrorCode.unknown_topic_or_partition, f"the share group {group_id[:100]!r} has not begun on this topic"
        )


def _by_topic(places: Iterable[tuple[str, int]]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for topic_id, number in places:
        found.setdefault(topic_id, set()).add(number)
    return found
