"""Who keeps the delivery state of share groups' partitions, as the group coordinator sees it."""

from typing import Protocol

from logserver.coordinator.share.topics import Partitions


class ShareState(Protocol):
    """The delivery state of share groups, by group, topic id and partition."""

    async def initialize(self, group_id: str, state_epoch: int, partitions: Partitions) -> None:
        """Makes the state of partitions, in which nothing has been delivered yet; fine if it is there.

        Args:
            state_epoch: the group epoch; what is there of a higher one is of a later group, and stays.

        Raises:
            LogServerError: that of one of them can't be made now.
        """
        ...

    async def delete(self, group_id: str, partitions: Partitions) -> None:
        """Forgets the state of partitions; fine if there is none.

        Raises:
            LogServerError: that of one of them can't be forgotten now.
        """
        ...


class NothingDelivered:
    """The state on a server that delivers nothing to share groups: there is nothing to keep."""

    async def initialize(self, group_id: str, state_epoch: int, partitions: Partitions) -> None:
        """As `ShareState.initialize`."""

    async def delete(self, group_id: str, partitions: Partitions) -> None:
        """As `ShareState.delete`."""
