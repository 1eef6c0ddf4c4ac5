"""The delivery state of share groups, as the group coordinator wants it made and forgotten."""

from collections.abc import Callable

from logserver.coordinator.share.topics import Partitions
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.share_state.state_key import StateKey

_NOT_DECIDED = -1


class GroupStates:
    """States by group; see `logserver.coordinator.share.state.ShareState`.

    What a declared queue has done stays whatever becomes of the share group of its name: the queue is what it is for.

    Args:
        is_declared: whether a group on a topic, given by its id, is a declared queue.
    """

    def __init__(self, state: ShareState, is_declared: Callable[[str, str], bool]) -> None:
        self._state = state
        self._is_declared = is_declared

    async def initialize(self, group_id: str, state_epoch: int, partitions: Partitions) -> None:
        """Makes the state of partitions where there is none."""
        for key in _keys(group_id, partitions):
            if self._is_declared(group_id, key.topic_id) or await self._state.summary(key) is not None:
                continue
            await self._state.initialize(key, state_epoch, _NOT_DECIDED)

    async def delete(self, group_id: str, partitions: Partitions) -> None:
        """Forgets the state of partitions."""
        for key in _keys(group_id, partitions):
            if not self._is_declared(group_id, key.topic_id):
                await self._state.delete(key)


def _keys(group_id: str, partitions: Partitions) -> list[StateKey]:
    return [
        StateKey(group_id, topic_id, number) for topic_id, numbers in partitions.items() for number in sorted(numbers)
    ]
