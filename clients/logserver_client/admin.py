"""The synchronous admin client."""

import warnings
from collections.abc import Iterable, Mapping
from types import TracebackType

from logserver_client import aio
from logserver_client._admin_messages import SettingValue
from logserver_client._background import BACKGROUND
from logserver_client._group.offsets import OffsetsToCommit
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.descriptions import (
    Cluster,
    Group,
    GroupSummary,
    ResetOffset,
    Setting,
    Status,
    Topic,
    TopicSummary,
    Transaction,
    TransactionSummary,
)
from logserver_client.types import (
    OffsetAndMetadata,
    OffsetAndTimestamp,
    PartitionLike,
    Position,
    TopicPartition,
)


class AdminClient:
    """Creates, describes, changes and deletes topics, looks after consumer groups, and tells about transactions and
    the cluster.

    Safe for threads.

    Every call waits for a server that isn't there yet, for `request_timeout_ms` in all.

    Args:
        address: HOST:PORT of a server.
        request_timeout_ms: how long a call may take.

    Raises:
        ConnectionFailed: from every call, if no server was there in time.
        RequestTimedOut: from every call, if it was there and did not answer.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, request_timeout_ms: float = 30_000) -> None:
        self._is_closed = True
        self._admin = aio.AdminClient(address, request_timeout_ms=request_timeout_ms)
        self._user = BACKGROUND.acquire(self._admin.close)
        self._is_closed = False

    def create_topic(
        self,
        name: str,
        *,
        partitions: int = 0,
        settings: Mapping[str, SettingValue] | None = None,
        validate_only: bool = False,
    ) -> Topic:
        """Creates a topic; nothing else does.

        Args:
            partitions: 0 means the server's `num.partitions`.
            settings: by Kafka's names, e.g. {"retention.ms": 86_400_000}.
            validate_only: check everything and create nothing.

        Raises:
            TopicAlreadyExists, InvalidTopic, InvalidPartitions, InvalidConfig: as the server says.
        """
        return BACKGROUND.run(
            self._admin.create_topic(name, partitions=partitions, settings=settings, validate_only=validate_only)
        )

    def delete_topic(self, name: str) -> None:
        """Deletes a topic with all its records.

        Raises:
            UnknownTopicOrPartition: there is no such topic.
        """
        BACKGROUND.run(self._admin.delete_topic(name))

    def list_topics(self, *, include_internal: bool = False) -> list[TopicSummary]:
        """Returns all topics, those that the server keeps for itself only if asked for."""
        return BACKGROUND.run(self._admin.list_topics(include_internal=include_internal))

    def describe_topic(self, name: str) -> Topic:
        """Returns a topic with its partitions and settings.

        Raises:
            UnknownTopicOrPartition: there is no such topic.
        """
        return BACKGROUND.run(self._admin.describe_topic(name))

    def alter_topic(
        self,
        name: str,
        *,
        set: Mapping[str, SettingValue] | None = None,
        reset: Iterable[str] = (),
        validate_only: bool = False,
    ) -> Topic:
        """Changes settings of a topic, all or none.

        Args:
            set: new values by name.
            reset: names of settings to take back to their default.

        Raises:
            UnknownTopicOrPartition, InvalidConfig: as the server says.
        """
        return BACKGROUND.run(self._admin.alter_topic(name, set=set, reset=reset, validate_only=validate_only))

    def create_partitions(self, name: str, partitions: int, *, validate_only: bool = False) -> Topic:
        """Raises the number of partitions to `partitions`, the new total.

        Raises:
            UnknownTopicOrPartition, InvalidPartitions: as the server says.
        """
        return BACKGROUND.run(self._admin.create_partitions(name, partitions, validate_only=validate_only))

    def delete_records(self, topic: str, partition: int, before_offset: int) -> int:
        """Deletes the records of a partition before an offset.

        Args:
            before_offset: the first offset that stays; -1 deletes all that can be read.

        Returns:
            The log start offset after it.

        Raises:
            UnknownTopicOrPartition, OffsetOutOfRange: as the server says.
        """
        return BACKGROUND.run(self._admin.delete_records(topic, partition, before_offset))

    def list_offsets(self, positions: Mapping[PartitionLike, Position]) -> dict[TopicPartition, OffsetAndTimestamp]:
        """Returns the offset that each position stands for, -1 where no record is at or after a time.

        Raises:
            UnknownTopicOrPartition: there is no such partition.
        """
        return BACKGROUND.run(self._admin.list_offsets(positions))

    def describe_cluster(self) -> Cluster:
        """Returns the cluster's id and nodes."""
        return BACKGROUND.run(self._admin.describe_cluster())

    def status(self) -> Status:
        """Returns version, doors, counts and disk of the server at the address."""
        return BACKGROUND.run(self._admin.status())

    def settings(self) -> list[Setting]:
        """Returns all settings in force at the server at the address."""
        return BACKGROUND.run(self._admin.settings())

    # Consumer groups.

    def list_groups(self, states: Iterable[str] = ()) -> list[GroupSummary]:
        """Returns all groups, by group id.

        Args:
            states: only groups in one of these states: "empty", "assigning", "reconciling", "stable".
        """
        return BACKGROUND.run(self._admin.list_groups(states))

    def describe_group(self, group_id: str) -> Group:
        """Returns a group with its members, committed offsets and lag.

        Raises:
            GroupIdNotFound: there is no such group.
        """
        return BACKGROUND.run(self._admin.describe_group(group_id))

    def committed_offsets(
        self, group_id: str, partitions: Iterable[PartitionLike] = ()
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """Returns what a group has committed, for these partitions or all; without those where that is nothing."""
        return BACKGROUND.run(self._admin.committed_offsets(group_id, partitions))

    def commit_offsets(self, group_id: str, offsets: OffsetsToCommit) -> None:
        """Commits offsets for a group that has no members; the group comes into being if it doesn't exist.

        Raises:
            CommitFailed: some are not stored; it says for each partition why.
            ValueError: an offset is negative.
        """
        BACKGROUND.run(self._admin.commit_offsets(group_id, offsets))

    def reset_offsets(
        self,
        group_id: str,
        topic: str,
        to: Position | None = None,
        *,
        shift_by: int | None = None,
        partitions: Iterable[int] | None = None,
        validate_only: bool = False,
    ) -> list[ResetOffset]:
        """Moves the committed offsets of a group that has no members.

        Args:
            to: "earliest", "latest", an offset or a time; the nearest offset inside of the log counts.
            shift_by: instead of `to`, records to go forward from what is committed, backward if negative.
            partitions: of the topic; None for all of them.
            validate_only: say what would be, and change nothing.

        Returns:
            One row a partition, by partition. A row may have an error of its own, e.g. a shift where nothing is
            committed; nothing changes there.

        Raises:
            NonEmptyGroup: the group has members; the message names them.
            UnknownTopicOrPartition: there is no such topic.
            ValueError: both `to` and `shift_by` are given, or neither is, or `to` makes no sense.
        """
        return BACKGROUND.run(
            self._admin.reset_offsets(
                group_id, topic, to, shift_by=shift_by, partitions=partitions, validate_only=validate_only
            )
        )

    def delete_offsets(self, group_id: str, partitions: Iterable[PartitionLike]) -> None:
        """Forgets committed offsets.

        Raises:
            GroupSubscribedToTopic: a member is subscribed to a topic of these; the other topics' are forgotten.
            GroupIdNotFound: there is no such group.
        """
        BACKGROUND.run(self._admin.delete_offsets(group_id, partitions))

    def delete_group(self, group_id: str) -> None:
        """Forgets a group and all its offsets.

        Raises:
            NonEmptyGroup: it has members.
            GroupIdNotFound: there is no such group.
        """
        BACKGROUND.run(self._admin.delete_group(group_id))

    # Transactions.

    def list_transactions(self, states: Iterable[str] = ()) -> list[TransactionSummary]:
        """Returns all transactional ids, by id.

        Args:
            states: only those in one of these states, see `TransactionSummary`.

        Raises:
            InvalidRequest: there is no such state.
        """
        return BACKGROUND.run(self._admin.list_transactions(states))

    def describe_transaction(self, transactional_id: str) -> Transaction:
        """Returns a transactional id with its transaction.

        Raises:
            TransactionalIdNotFound: there is no such transactional id.
        """
        return BACKGROUND.run(self._admin.describe_transaction(transactional_id))

    def close(self) -> None:
        """Closes the channels."""
        if not self._is_closed:
            self._is_closed = True
            BACKGROUND.run(self._admin.close())
            BACKGROUND.release(self._user)

    def __enter__(self) -> "AdminClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._is_closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
