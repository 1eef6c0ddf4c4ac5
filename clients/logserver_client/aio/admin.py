"""The asyncio admin client."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from logserverpb.v1 import admin_pb2

from logserver_client import _admin_messages as messages
from logserver_client._admin_messages import SettingValue
from logserver_client._positions import position_message
from logserver_client._transport.cluster import Cluster as Nodes
from logserver_client._transport.offsets import list_offsets
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.descriptions import Cluster, Setting, Status, Topic, TopicSummary
from logserver_client.errors import client_closed
from logserver_client.types import OffsetAndTimestamp, PartitionLike, Position, TopicPartition


class AdminClient:
    """Creates, describes, changes and deletes topics, and tells about the cluster.

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

    def _started(self) -> Nodes:
        if self._is_closed:
            raise client_closed("the admin client is closed")
        if self._nodes is None:
            self._nodes = Nodes(self._address, request_timeout_s=self._timeout_s)
        return self._nodes
