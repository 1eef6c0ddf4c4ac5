"""Admin messages as descriptions."""

from collections.abc import Iterable, Mapping
from typing import Any

from logserverpb.v1 import admin_pb2

from logserver_client._transport.status import error_from_message
from logserver_client.descriptions import (
    Cluster,
    Endpoint,
    LogDirectory,
    Node,
    Partition,
    Setting,
    Status,
    Topic,
    TopicSetting,
    TopicSummary,
)
from logserver_client.errors import LogServerError

SettingValue = str | int | float | bool
"""A setting as a program has it; it travels as text, with true and false in lower case."""


def setting_texts(settings: Mapping[str, SettingValue]) -> dict[str, str]:
    """Returns settings as the texts that travel."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()}


def topic(message: admin_pb2.Topic) -> Topic:
    return Topic(
        name=message.name,
        topic_id=message.topic_id,
        internal=message.internal,
        partitions=tuple(_partition(part) for part in sorted(message.partitions, key=lambda part: part.partition)),
        settings=tuple(
            TopicSetting(row.name, row.value, row.default_value, row.overridden, row.documentation)
            for row in message.settings
        ),
    )


def topic_summary(message: admin_pb2.TopicSummary) -> TopicSummary:
    return TopicSummary(message.name, message.topic_id, message.partitions, message.internal)


def cluster(message: admin_pb2.DescribeClusterResponse) -> Cluster:
    nodes = tuple(Node(node.node_id, _endpoints(node.endpoints)) for node in message.nodes)
    return Cluster(message.cluster_id, nodes, message.controller_id)


def status(message: admin_pb2.GetStatusResponse) -> Status:
    return Status(
        version=message.version,
        node_id=message.node_id,
        cluster_id=message.cluster_id,
        start_time_ms=message.start_time_ms,
        doors=_endpoints(message.doors),
        topics=message.topics,
        partitions=message.partitions,
        offline_partitions=message.offline_partitions,
        log_directories=tuple(
            LogDirectory(
                directory.path, directory.size_bytes, directory.total_bytes, directory.free_bytes, _error(directory)
            )
            for directory in message.log_directories
        ),
        rss_anon_bytes=message.rss_anon_bytes,
    )


def setting(message: admin_pb2.Setting) -> Setting:
    return Setting(message.name, message.value, message.default_value, message.source, message.documentation)


def _partition(message: admin_pb2.Partition) -> Partition:
    return Partition(
        partition=message.partition,
        leader=message.leader,
        leader_epoch=message.leader_epoch,
        log_start_offset=message.log_start_offset,
        high_watermark=message.high_watermark,
        log_end_offset=message.log_end_offset,
        size_bytes=message.size_bytes,
        error=_error(message),
    )


def _endpoints(messages: Iterable[admin_pb2.Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(endpoint.door, endpoint.address) for endpoint in messages)


def _error(message: Any) -> LogServerError | None:
    return error_from_message(message.error) if message.HasField("error") else None
