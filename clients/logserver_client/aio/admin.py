"""The asyncio admin client."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from logserverpb.v1 import admin_pb2, groups_pb2, log_pb2, transactions_pb2

from logserver_client import _admin_messages as messages
from logserver_client import _group_messages as group_messages
from logserver_client import _transaction_messages as transaction_messages
from logserver_client._admin_messages import SettingValue
from logserver_client._group.offsets import (
    OffsetsToCommit,
    ask_coordinator,
    commit_message,
    fetch_offsets,
    offsets_to_commit,
)
from logserver_client._positions import position_message
from logserver_client._transport.cluster import Cluster as Nodes
from logserver_client._transport.connection import Connection
from logserver_client._transport.offsets import list_offsets
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
from logserver_client.errors import client_closed, commit_failed
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

    Every call waits for a server that isn't there yet, for `request_timeout_ms` in all.

    Args:
        address: HOST:PORT of a server.
        request_timeout_ms: how long a call may take.

    Raises:
        ConnectionFailed: from every call, if no server was there in time.
        RequestTimedOut: from every call, if it was there and did not answer.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, request_timeout_ms: float = 30_000) -> None:
        self._address = address
        self._timeout_s = request_timeout_ms / 1000
        self._nodes: Nodes | None = None
        self._is_closed = False

    async def create_topic(
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
        request = admin_pb2.CreateTopicRequest(
            name=name,
            partitions=partitions,
            settings=messages.setting_texts(settings or {}),
            validate_only=validate_only,
        )
        return messages.topic((await self._change("CreateTopic", request)).topic)

    async def delete_topic(self, name: str) -> None:
        """Deletes a topic with all its records.

        Raises:
            UnknownTopicOrPartition: there is no such topic.
        """
        await self._change("DeleteTopic", admin_pb2.DeleteTopicRequest(name=name))

    async def list_topics(self, *, include_internal: bool = False) -> list[TopicSummary]:
        """Returns all topics, those that the server keeps for itself only if asked for."""
        answer = await self._ask("ListTopics", admin_pb2.ListTopicsRequest(include_internal=include_internal))
        return [messages.topic_summary(topic) for topic in answer.topics]

    async def describe_topic(self, name: str) -> Topic:
        """Returns a topic with its partitions and settings.

        Raises:
            UnknownTopicOrPartition: there is no such topic.
        """
        return messages.topic((await self._ask("DescribeTopic", admin_pb2.DescribeTopicRequest(name=name))).topic)

    async def alter_topic(
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
        request = admin_pb2.AlterTopicRequest(
            name=name, set=messages.setting_texts(set or {}), reset=list(reset), validate_only=validate_only
        )
        # Made twice it changes no more than once.
        return messages.topic((await self._ask("AlterTopic", request)).topic)

    async def create_partitions(self, name: str, partitions: int, *, validate_only: bool = False) -> Topic:
        """Raises the number of partitions to `partitions`, the new total.

        Raises:
            UnknownTopicOrPartition, InvalidPartitions: as the server says.
        """
        request = admin_pb2.CreatePartitionsRequest(name=name, partitions=partitions, validate_only=validate_only)
        return messages.topic((await self._change("CreatePartitions", request)).topic)

    async def delete_records(self, topic: str, partition: int, before_offset: int) -> int:
        """Deletes the records of a partition before an offset.

        Args:
            before_offset: the first offset that stays; -1 deletes all that can be read.

        Returns:
            The log start offset after it.

        Raises:
            UnknownTopicOrPartition, OffsetOutOfRange: as the server says.
        """
        request = admin_pb2.DeleteRecordsRequest(topic=topic, partition=partition, before_offset=before_offset)
        answer = await self._ask("DeleteRecords", request)
        return int(answer.log_start_offset)

    async def list_offsets(
        self, positions: Mapping[PartitionLike, Position]
    ) -> dict[TopicPartition, OffsetAndTimestamp]:
        """Returns the offset that each position stands for, -1 where no record is at or after a time.

        Raises:
            UnknownTopicOrPartition: there is no such partition.
        """
        wanted = {TopicPartition(*tp): position_message(position) for tp, position in positions.items()}
        return await list_offsets(self._started(), wanted, timeout_s=self._timeout_s)

    async def describe_cluster(self) -> Cluster:
        """Returns the cluster's id and nodes."""
        return messages.cluster(await self._ask("DescribeCluster", admin_pb2.DescribeClusterRequest()))

    async def status(self) -> Status:
        """Returns version, doors, counts and disk of the server at the address."""
        return messages.status(await self._ask("GetStatus", admin_pb2.GetStatusRequest()))

    async def settings(self) -> list[Setting]:
        """Returns all settings in force at the server at the address."""
        answer = await self._ask("ListSettings", admin_pb2.ListSettingsRequest())
        return [messages.setting(row) for row in answer.settings]

    # Consumer groups.

    async def list_groups(self, states: Iterable[str] = ()) -> list[GroupSummary]:
        """Returns all groups, by group id.

        Args:
            states: only groups in one of these states: "empty", "assigning", "reconciling", "stable".
        """
        answer = await self._ask_group("ListGroups", groups_pb2.ListGroupsRequest(states=list(states)))
        return [group_messages.group_summary(group) for group in answer.groups]

    async def describe_group(self, group_id: str) -> Group:
        """Returns a group with its members, committed offsets and lag.

        Raises:
            GroupIdNotFound: there is no such group.
        """
        answer = await self._ask_group("DescribeGroup", groups_pb2.DescribeGroupRequest(group_id=group_id))
        return group_messages.group(answer)

    async def committed_offsets(
        self, group_id: str, partitions: Iterable[PartitionLike] = ()
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """Returns what a group has committed, for these partitions or all; without those where that is nothing."""
        wanted = [TopicPartition(*tp) for tp in partitions]
        found = await fetch_offsets(self._started(), group_id, wanted, None, self._timeout_s)
        return {tp: committed for tp, committed in sorted(found.items()) if committed is not None}

    async def commit_offsets(self, group_id: str, offsets: OffsetsToCommit) -> None:
        """Commits offsets for a group that has no members; the group comes into being if it doesn't exist.

        Raises:
            CommitFailed: some are not stored; it says for each partition why.
            ValueError: an offset is negative.
        """
        wanted = offsets_to_commit(offsets)
        request = groups_pb2.CommitOffsetsRequest(
            group_id=group_id,
            member_epoch=-1,
            offsets=[commit_message(tp, committed) for tp, committed in wanted.items()],
        )
        answer = await self._ask_group("CommitOffsets", request)
        if errors := group_messages.result_errors(answer.results):
            raise commit_failed(errors)

    async def reset_offsets(
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
        request = groups_pb2.ResetOffsetsRequest(group_id=group_id, topic=topic, validate_only=validate_only)
        if (to is None) == (shift_by is None):
            raise ValueError("say where to: either `to` or `shift_by`")
        if shift_by is not None:
            request.shift_by = shift_by
        elif to is not None:
            request.position.CopyFrom(position_message(to))
        if partitions is not None:
            request.partitions.extend(partitions)
            if not request.partitions:
                return []
        # A shift that was made and is made again has gone too far.
        repeatable = shift_by is None or validate_only
        answer = await self._ask_group("ResetOffsets", request, repeatable=repeatable)
        return [group_messages.reset_offset(row) for row in answer.offsets]

    async def delete_offsets(self, group_id: str, partitions: Iterable[PartitionLike]) -> None:
        """Forgets committed offsets.

        Raises:
            GroupSubscribedToTopic: a member is subscribed to a topic of these; the other topics' are forgotten.
            GroupIdNotFound: there is no such group.
        """
        request = groups_pb2.DeleteOffsetsRequest(
            group_id=group_id,
            partitions=[log_pb2.TopicPartition(topic=topic, partition=number) for topic, number in partitions],
        )
        answer = await self._ask_group("DeleteOffsets", request)
        group_messages.raise_first(group_messages.result_errors(answer.results))

    async def delete_group(self, group_id: str) -> None:
        """Forgets a group and all its offsets.

        Raises:
            NonEmptyGroup: it has members.
            GroupIdNotFound: there is no such group.
        """
        await self._ask_group("DeleteGroup", groups_pb2.DeleteGroupRequest(group_id=group_id), repeatable=False)

    # Transactions.

    async def list_transactions(self, states: Iterable[str] = ()) -> list[TransactionSummary]:
        """Returns all transactional ids, by id.

        Args:
            states: only those in one of these states, see `TransactionSummary`.

        Raises:
            InvalidRequest: there is no such state.
        """
        request = transactions_pb2.ListTransactionsRequest(states=list(states))
        answer = await self._ask_transactions("ListTransactions", request)
        return [transaction_messages.summary(one) for one in answer.transactions]

    async def describe_transaction(self, transactional_id: str) -> Transaction:
        """Returns a transactional id with its transaction.

        Raises:
            TransactionalIdNotFound: there is no such transactional id.
        """
        request = transactions_pb2.DescribeTransactionRequest(transactional_id=transactional_id)
        return transaction_messages.transaction(await self._ask_transactions("DescribeTransaction", request))

    async def close(self) -> None:
        """Closes the channels."""
        self._is_closed = True
        nodes, self._nodes = self._nodes, None
        if nodes is not None:
            await nodes.close()

    async def __aenter__(self) -> "AdminClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if getattr(self, "_nodes", None) is not None:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    async def _ask(self, method: str, request: Any) -> Any:
        return await self._call(method, request, repeatable=True)

    async def _change(self, method: str, request: Any) -> Any:
        """Makes a call that isn't made again when the connection breaks under it: it may have been done."""
        return await self._call(method, request, repeatable=False)

    async def _call(self, method: str, request: Any, *, repeatable: bool) -> Any:
        connection = self._started().bootstrap
        bound: Callable[..., Any] = getattr(connection.admin, method)
        return await connection.call(bound, request, self._timeout_s, repeatable=repeatable)

    async def _ask_group(self, method: str, request: Any, *, repeatable: bool = True) -> Any:
        def pick(connection: Connection) -> Callable[..., Any]:
            return getattr(connection.groups, method)  # type: ignore[no-any-return]

        return await ask_coordinator(self._started(), pick, request, self._timeout_s, repeatable=repeatable)

    async def _ask_transactions(self, method: str, request: Any) -> Any:
        def pick(connection: Connection) -> Callable[..., Any]:
            return getattr(connection.transactions, method)  # type: ignore[no-any-return]

        return await ask_coordinator(self._started(), pick, request, self._timeout_s)

    def _started(self) -> Nodes:
        if self._is_closed:
            raise client_closed("the admin client is closed")
        if self._nodes is None:
            self._nodes = Nodes(self._address, request_timeout_s=self._timeout_s)
        return self._nodes
