"""Who keeps the delivery state of share groups' partitions, as the group coordinator sees it."""

from typing import Protocol

from logserver.coordinator.share.topics import Partitions
from logserver.coordinator.share_state.state_key import StateSummary


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

    async def begin_at(self, group_id: str, state_epoch: int, topic_id: str, number: int, offset: int) -> None:
        """Sets where a partition begins, and forgets what was delivered.

        Raises:
            LogServerError: that can't be done now.
        """
        ...

    async def summary(self, group_id: str, topic_id: str, number: int) -> StateSummary | None:
        """Returns the state of a partition in a few numbers; None if there is none.

        Raises:
            LogServerError: it can't be read now.
        """
        ...

    def check_unused(self, group_id: str, topic_id: str) -> None:
        """Checks that nobody but the group's members could be at work on a topic for it.

        Raises:
            LogServerError: NON_EMPTY_GROUP.
        """
        ...

    def keeps(self, group_id: str, topic_id: str) -> bool:
        """Whether what was done in a topic stays, whatever becomes of the group."""
        ...


class NothingDelivered:
    """The state on a server that delivers nothing to share groups: there is nothing to keep."""

    async def initialize(self, group_id: str, state_epoch: int, partitions: Partitions) -> None:
        """As `ShareState.initialize`."""

    async def delete(self, group_id: str, partitions: Partitions) -> None:
        """As `ShareState.delete`."""

    async def begin_at(self, group_id: str, state_epoch: int, topic_id: str, number: int, offset: int) -> None:
        """As `ShareState.begin_at`."""

    async def summary(self, group_id: str, topic_id: str, number: int) -> StateSummary | None:
        """As `ShareState.summary`."""
        return None

    def check_unused(self, group_id: str, topic_id: str) -> None:
        """As `ShareState.check_unused`."""

    def keeps(self, group_id: str, topic_id: str) -> bool:
        """As `ShareState.keeps`."""
        return False
