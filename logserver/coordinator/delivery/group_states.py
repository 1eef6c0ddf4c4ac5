"""The delivery state of share groups, as the group coordinator wants it made and forgotten."""

from collections.abc import Callable
from typing import Protocol

from logserver.coordinator.share.topics import Partitions
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.share_state.state_key import StateKey, StateSummary
from logserver.errors import ErrorCode, LogServerError

_NOT_DECIDED = -1


class Queues(Protocol):
    """What is to be known of declared queues; `QueueCoordinator` is it."""

    def is_declared(self, group_id: str, topic_id: str) -> bool:
        """Whether a group on a topic is a declared queue."""
        ...

    def is_consumed(self, group_id: str, topic_id: str) -> bool:
        """Whether somebody consumes what a group does on a topic."""
        ...


class GroupStates:
    """States by group; see `logserver.coordinator.share.state.ShareState`.

    What a declared queue has done stays whatever becomes of the share group of its name: the queue is what it is for.

    Args:
        queues: returns those of this node.
    """

    def __init__(self, state: ShareState, queues: Callable[[], Queues]) -> None:
        self._state = state
        self._queues = queues

    async def initialize(self, group_id: str, state_epoch: int, partitions: Partitions) -> None:
        """Makes the state of partitions where there is none."""
        for key in _keys(group_id, partitions):
            if self.keeps(group_id, key.topic_id) or await self._state.summary(key) is not None:
                continue
            await self._state.initialize(key, state_epoch, _NOT_DECIDED)

    async def delete(self, group_id: str, partitions: Partitions) -> None:
        """Forgets the state of partitions."""
        for key in _keys(group_id, partitions):
            if not self.keeps(group_id, key.topic_id):
                await self._state.delete(key)

    async def begin_at(self, group_id: str, state_epoch: int, topic_id: str, number: int, offset: int) -> None:
        """Sets where a partition begins, and forgets what was delivered."""
        key = StateKey(group_id, topic_id, number)
        known = await self._state.summary(key)
        # The state of a declared queue outlives the groups of its name, and may have a later epoch than the group.
        epoch = state_epoch if known is None else max(state_epoch, known.state_epoch)
        await self._state.initialize(key, epoch, offset)

    async def summary(self, group_id: str, topic_id: str, number: int) -> StateSummary | None:
        """Returns the state of a partition in a few numbers; None if there is none."""
        return await self._state.summary(StateKey(group_id, topic_id, number))

    def check_unused(self, group_id: str, topic_id: str) -> None:
        """Checks that nobody consumes the group as a queue.

        Raises:
            LogServerError: NON_EMPTY_GROUP.
        """
        if self._queues().is_consumed(group_id, topic_id):
            raise LogServerError(
                ErrorCode.non_empty_group,
                f"the queue {group_id[:100]!r} has consumers, so where it begins can't be changed; stop them first",
            )

    def keeps(self, group_id: str, topic_id: str) -> bool:
        """Whether what was done in a topic stays, whatever becomes of the group."""
        return self._queues().is_declared(group_id, topic_id)


def _keys(group_id: str, partitions: Partitions) -> list[StateKey]:
    return [
        StateKey(group_id, topic_id, number) for topic_id, numbers in partitions.items() for number in sorted(numbers)
    ]
