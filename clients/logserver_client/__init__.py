"""The bundled client of the log server.

The classes here block; `logserver_client.aio` has the same names for asyncio. They share one event loop on one
background thread of the process, so a process must not fork after its first client was made ("spawn" is fine).
"""

from logserver_client._consume.range import OffsetRange
from logserver_client._produce.futures import RecordFuture
from logserver_client.admin import AdminClient
from logserver_client.consumer import Consumer
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
from logserver_client.errors import (
    BufferFull,
    ClientClosed,
    ConnectionFailed,
    CorruptMessage,
    DeliveryTimeout,
    InvalidConfig,
    InvalidPartitions,
    InvalidRecord,
    InvalidRequest,
    InvalidTopic,
    LogServerError,
    MessageTooLarge,
    OffsetOutOfRange,
    RequestTimedOut,
    SerializationError,
    TopicAlreadyExists,
    UnknownTopicOrPartition,
)
from logserver_client.partitioner import Partitioner, murmur2, partition_for_key
from logserver_client.producer import Producer
from logserver_client.replay import Replay, replay
from logserver_client.types import (
    BytesRecord,
    OffsetAndTimestamp,
    Position,
    Record,
    RecordMetadata,
    Timestamp,
    TopicPartition,
)

__all__ = [
    "AdminClient",
    "BufferFull",
    "BytesRecord",
    "ClientClosed",
    "Cluster",
    "ConnectionFailed",
    "Consumer",
    "CorruptMessage",
    "DeliveryTimeout",
    "Endpoint",
    "InvalidConfig",
    "InvalidPartitions",
    "InvalidRecord",
    "InvalidRequest",
    "InvalidTopic",
    "LogDirectory",
    "LogServerError",
    "MessageTooLarge",
    "Node",
    "OffsetAndTimestamp",
    "OffsetOutOfRange",
    "OffsetRange",
    "Partition",
    "Partitioner",
    "Position",
    "Producer",
    "Record",
    "RecordFuture",
    "RecordMetadata",
    "Replay",
    "RequestTimedOut",
    "SerializationError",
    "Setting",
    "Status",
    "Timestamp",
    "Topic",
    "TopicAlreadyExists",
    "TopicPartition",
    "TopicSetting",
    "TopicSummary",
    "UnknownTopicOrPartition",
    "murmur2",
    "partition_for_key",
    "replay",
]
