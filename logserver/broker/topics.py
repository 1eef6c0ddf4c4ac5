"""Topics: what the metadata store knows of them, what their names may be, and how settings reach their logs."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from logserver_records.compression import Compression
from logserver_segments.config import NEVER_MS, LogConfig

from logserver.broker.partition import Partition
from logserver.errors import ErrorCode, LogServerError
from logserver.settings import ServerSettings, TopicSettings

TOPICS_PREFIX: Final = b"/topics/"
INTERNAL_TOPICS: Final = frozenset(
    ("__logserver_metadata", "__consumer_offsets", "__transaction_state", "__share_group_state", "__queue_history")
)
NOT_COMPACTED: Final = frozenset(("__share_group_state", "__queue_history"))
"""Internal topics of which every record counts."""
EXPIRING: Final = frozenset(("__queue_history",))
"""Internal topics whose records may go with age."""
METADATA_TOPIC: Final = "__logserver_metadata"
METADATA_TOPIC_ID: Final = "AAAAAAAAAAAAAAAAAAAAAQ"
"""Kafka's fixed id of its metadata topic."""

METADATA_CONFIG: Final = LogConfig(
    segment_bytes=16 << 20,
    compact=True,
    delete=False,
    min_cleanable_dirty_ratio=0.5,
    # Topics are deleted, and kept for a shorter time, to get space back.
    uses_reserved_space=True,
)

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]+")
_MAX_NAME: Final = 249
_FAST_LZ4: Final = 9


class TopicRecord(NamedTuple):
    """A topic as the metadata store keeps it: one value for all its partitions."""

    name: str
    topic_id: str
    partitions: int
    settings: Mapping[str, str]

    @property
    def key(self) -> bytes:
        """The key in the metadata store."""
        return topic_key(self.name)

    def to_value(self) -> bytes:
        """The value in the metadata store."""
        fields = {"id": self.topic_id, "partitions": self.partitions, "settings": dict(self.settings)}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_value(key: bytes, value: bytes) -> "TopicRecord":
        """Reads a key and value of the metadata store; raises ValueError, KeyError or TypeError if it can't."""
        fields = json.loads(value)
        if not isinstance(fields["partitions"], int) or not isinstance(fields["settings"], dict):
            raise TypeError("a number of partitions or settings are missing")
        name = key.removeprefix(TOPICS_PREFIX).decode()
        return TopicRecord(name, fields["id"], fields["partitions"], fields["settings"])


def topic_key(name: str) -> bytes:
    """Returns the key of a topic in the metadata store."""
    return TOPICS_PREFIX + name.encode()


@dataclass(slots=True)
class Topic:
    """A topic of this node's image: what the store says, and the partitions."""

    record: TopicRecord
    revision: int
    settings: TopicSettings
    partitions: list[Partition]

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def internal(self) -> bool:
        return self.record.name in INTERNAL_TOPICS


def check_name(name: str) -> None:
    """Checks a topic's name by Kafka's rules.

    Raises:
        LogServerError: INVALID_TOPIC_EXCEPTION.
    """
    problem = None
    if not name:
        problem = "it is empty"
    elif name in (".", ".."):
        problem = "'.' and '..' are no names"
    elif len(name) > _MAX_NAME:
        problem = f"it has {len(name)} characters, {_MAX_NAME} are allowed"
    elif not _NAME.fullmatch(name):
        problem = "it may hold only letters and digits of ASCII, '.', '_' and '-'"
    elif name in INTERNAL_TOPICS:
        problem = "the server keeps this name for itself"
    if problem is not None:
        shown = name if len(name) <= 60 else name[:60] + "..."
        raise LogServerError(ErrorCode.invalid_topic_exception, f"the topic name {shown!r} is not valid: {problem}")


def log_config(topic: TopicSettings, server: ServerSettings) -> LogConfig:
    """Returns the settings of a topic's logs."""
    compression, level = _compression(topic)
    return LogConfig(
        compression=compression,
        compression_level=level,
        segment_bytes=topic.segment_bytes,
        # What is to be compacted in time has to be sealed in time.
        segment_ms=min(topic.segment_ms, topic.max_compaction_lag_ms) if topic.compacts else topic.segment_ms,
        segment_jitter_ms=topic.segment_jitter_ms,
        segment_index_bytes=topic.segment_index_bytes,
        index_interval_bytes=topic.index_interval_bytes,
        retention_ms=topic.retention_ms,
        retention_bytes=topic.retention_bytes,
        max_message_bytes=topic.max_message_bytes,
        flush_messages=topic.flush_messages,
        flush_ms=NEVER_MS if topic.flush_ms is None else topic.flush_ms,
        file_delete_delay_ms=topic.file_delete_delay_ms,
        compact=topic.compacts,
        delete=topic.deletes,
        log_append_time=topic.message_timestamp_type == "LogAppendTime",
        timestamp_before_max_ms=topic.message_timestamp_before_max_ms,
        timestamp_after_max_ms=topic.message_timestamp_after_max_ms,
        min_cleanable_dirty_ratio=topic.min_cleanable_dirty_ratio,
        min_compaction_lag_ms=topic.min_compaction_lag_ms,
        max_compaction_lag_ms=topic.max_compaction_lag_ms,
        delete_retention_ms=topic.delete_retention_ms,
        max_producers=server.log_max_producers_per_partition,
        producer_expiration_ms=server.producer_id_expiration_ms,
        max_decompressed_bytes=server.record_batch_max_decompressed_bytes,
    )


def _compression(topic: TopicSettings) -> tuple[Compression | None, int | None]:
    """Returns the codec that batches are stored with (None: the producer's), and its level (None: its default)."""
    name = topic.compression_type
    if name == "producer":
        return None, None
    if name == "uncompressed":
        return Compression.NONE, None
    codec = Compression.parse(name)
    level = {
        # Kafka's -1 is the default of zlib, its 9 the fast compressor of LZ4 and no level of the other one.
        Compression.GZIP: topic.compression_gzip_level if topic.compression_gzip_level > 0 else None,
        Compression.LZ4: topic.compression_lz4_level if topic.compression_lz4_level != _FAST_LZ4 else None,
        Compression.ZSTD: topic.compression_zstd_level,
    }.get(codec)
    return codec, level
