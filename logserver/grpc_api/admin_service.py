"""The `Admin` service."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from logserverpb.v1 import admin_pb2

from logserver.broker import Broker
from logserver.grpc_api.convert import topic_message
from logserver.grpc_api.errors import Context, answered, to_error
from logserver.settings import server_setting_rows


class ServerStatus(NamedTuple):
    """What the daemon knows of itself."""

    version: str
    start_time_ms: int
    doors: Sequence[tuple[str, str]]
    advertised: Sequence[tuple[str, str]]
    rss_anon_bytes: int


class AdminService:
    """Servicer of `logserver.v1.Admin`.

    Args:
        status: tells what the daemon knows of itself.
    """

    def __init__(self, broker: Broker, status: Callable[[], ServerStatus]) -> None:
        self._broker = broker
        self._status = status

    @answered
    async def CreateTopic(
        self, request: admin_pb2.CreateTopicRequest, context: Context
    ) -> admin_pb2.CreateTopicResponse:
        """Creates a topic."""
        record = await self._broker.create_topic(
            request.name, request.partitions, dict(request.settings), validate_only=request.validate_only
        )
        if request.validate_only:
            return admin_pb2.CreateTopicResponse(topic=admin_pb2.Topic(name=record.name))
        return admin_pb2.CreateTopicResponse(topic=self._topic(record.name))

    def _topic(self, name: str) -> admin_pb2.Topic:
        return topic_message(self._broker, self._broker.topic(name))

    @answered
    async def DeleteTopic(
        self, request: admin_pb2.DeleteTopicRequest, context: Context
    ) -> admin_pb2.DeleteTopicResponse:
        """Deletes a topic."""
        await self._broker.delete_topic(request.name)
        return admin_pb2.DeleteTopicResponse()

    @answered
    async def ListTopics(self, request: admin_pb2.ListTopicsRequest, context: Context) -> admin_pb2.ListTopicsResponse:
        """Lists the topics."""
        response = admin_pb2.ListTopicsResponse()
        for topic in self._broker.topics():
            if request.include_internal or not topic.internal:
                response.topics.add(
                    name=topic.name,
                    topic_id=topic.record.topic_id,
                    partitions=len(topic.partitions),
                    internal=topic.internal,
                )
        return response

    @answered
    async def DescribeTopic(
        self, request: admin_pb2.DescribeTopicRequest, context: Context
    ) -> admin_pb2.DescribeTopicResponse:
        """Describes a topic with its partitions and settings."""
        return admin_pb2.DescribeTopicResponse(topic=self._topic(request.name))

    @answered
    async def AlterTopic(self, request: admin_pb2.AlterTopicRequest, context: Context) -> admin_pb2.AlterTopicResponse:
        """Changes settings of a topic."""
        await self._broker.alter_topic(
            request.name, dict(request.set), request.reset, validate_only=request.validate_only
        )
        return admin_pb2.AlterTopicResponse(topic=self._topic(request.name))

    @answered
    async def CreatePartitions(
        self, request: admin_pb2.CreatePartitionsRequest, context: Context
    ) -> admin_pb2.CreatePartitionsResponse:
        """Raises the number of partitions of a topic."""
        await self._broker.create_partitions(request.name, request.partitions, validate_only=request.validate_only)
        return admin_pb2.CreatePartitionsResponse(topic=self._topic(request.name))

    @answered
    async def DeleteRecords(
        self, request: admin_pb2.DeleteRecordsRequest, context: Context
    ) -> admin_pb2.DeleteRecordsResponse:
        """Deletes the records before an offset."""
        start = await self._broker.delete_records(request.topic, request.partition, request.before_offset)
        return admin_pb2.DeleteRecordsResponse(log_start_offset=start)

    @answered
    async def DescribeCluster(
        self, request: admin_pb2.DescribeClusterRequest, context: Context
    ) -> admin_pb2.DescribeClusterResponse:
        """Describes the cluster: this node."""
        node = self._broker.node
        response = admin_pb2.DescribeClusterResponse(cluster_id=node.cluster_id, controller_id=node.node_id)
        described = response.nodes.add(node_id=node.node_id)
        for door, address in self._status().advertised:
            described.endpoints.add(door=door, address=address)
        return response

    @answered
    async def GetStatus(self, request: admin_pb2.GetStatusRequest, context: Context) -> admin_pb2.GetStatusResponse:
        """Tells the state of this server."""
        status = self._status()
        partitions = list(self._broker.partitions())
        response = admin_pb2.GetStatusResponse(
            version=status.version,
            node_id=self._broker.node.node_id,
            cluster_id=self._broker.node.cluster_id,
            start_time_ms=status.start_time_ms,
            topics=len(self._broker.topics()),
            partitions=len(partitions),
            offline_partitions=sum(partition.unavailable is not None for partition in partitions),
            rss_anon_bytes=status.rss_anon_bytes,
        )
        for door, address in status.doors:
            response.doors.add(door=door, address=address)
        for found in self._broker.log_directories():
            message = response.log_directories.add(
                path=found.path,
                size_bytes=found.size_bytes,
                total_bytes=found.total_bytes,
                free_bytes=found.free_bytes,
            )
            if found.error is not None:
                message.error.CopyFrom(to_error(found.error))
        return response

    @answered
    async def ListSettings(
        self, request: admin_pb2.ListSettingsRequest, context: Context
    ) -> admin_pb2.ListSettingsResponse:
        """Lists this server's settings in force."""
        response = admin_pb2.ListSettingsResponse()
        for row in server_setting_rows(self._broker.settings):
            response.settings.add(
                name=row.name,
                value=row.value,
                default_value=row.default_value,
                source=row.source,
                documentation=row.documentation,
            )
        return response
