"""What topics and the server are set to is what their logs go by."""

from dataclasses import fields
from typing import Any

import pytest
from logserver_records.compression import Compression
from logserver_segments.config import NEVER_MS, LogConfig

from logserver.broker.topics import log_config
from logserver.settings import TopicSettings, load_settings

TOPIC: dict[str, tuple[str, dict[str, Any]]] = {
    "cleanup.policy": ("compact", {"compact": True, "delete": False}),
    "segment.bytes": ("2000", {"segment_bytes": 2000}),
    "segment.ms": ("1001", {"segment_ms": 1001}),
    "segment.jitter.ms": ("12", {"segment_jitter_ms": 12}),
    "segment.index.bytes": ("1200", {"segment_index_bytes": 1200}),
    "index.interval.bytes": ("14", {"index_interval_bytes": 14}),
    "retention.ms": ("15", {"retention_ms": 15}),
    "retention.bytes": ("16", {"retention_bytes": 16}),
    "max.message.bytes": ("17", {"max_message_bytes": 17}),
    "flush.messages": ("18", {"flush_messages": 18}),
    "flush.ms": ("19", {"flush_ms": 19}),
    "file.delete.delay.ms": ("20", {"file_delete_delay_ms": 20}),
    "message.timestamp.type": ("LogAppendTime", {"log_append_time": True}),
    "message.timestamp.before.max.ms": ("21", {"timestamp_before_max_ms": 21}),
    "message.timestamp.after.max.ms": ("22", {"timestamp_after_max_ms": 22}),
    "min.cleanable.dirty.ratio": ("0.23", {"min_cleanable_dirty_ratio": 0.23}),
    "min.compaction.lag.ms": ("24", {"min_compaction_lag_ms": 24}),
    "max.compaction.lag.ms": ("1025", {"max_compaction_lag_ms": 1025}),
    "delete.retention.ms": ("26", {"delete_retention_ms": 26}),
    "compression.type": ("zstd", {"compression": Compression.ZSTD}),
    "compression.zstd.level": ("7", {"compression_level": 7}),
}
SERVER: dict[str, tuple[str, dict[str, Any]]] = {
    "log.max.producers.per.partition": ("27", {"max_producers": 27}),
    "producer.id.expiration.ms": ("28", {"producer_expiration_ms": 28}),
    "record.batch.max.decompressed.bytes": ("2000000", {"max_decompressed_bytes": 2_000_000}),
}


def logs_of(topic: dict[str, str], server: dict[str, str] | None = None) -> LogConfig:
    settings = load_settings(command_line=(server or {}).items())
    return log_config(TopicSettings.resolve(settings, topic), settings)


def test_every_setting_reaches_the_logs() -> None:
    expected = {name: value for _, wanted in (*TOPIC.values(), *SERVER.values()) for name, value in wanted.items()}
    # Only the log of metadata has that.
    assert expected.keys() == {field.name for field in fields(LogConfig)} - {"uses_reserved_space"}
    texts = [{name: text for name, (text, _) in settings.items()} for settings in (TOPIC, SERVER)]
    assert logs_of(*texts) == LogConfig(**expected)


@pytest.mark.parametrize(
    ("policy", "segment_ms"), [("compact", 50), ("compact,delete", 50), ("delete", 90)], ids=lambda value: str(value)
)
def test_what_is_to_be_compacted_in_time_is_sealed_in_time(policy: str, segment_ms: int) -> None:
    settings = {"cleanup.policy": policy, "max.compaction.lag.ms": "50"}
    assert logs_of({**settings, "segment.ms": "90"}).segment_ms == segment_ms
    assert logs_of({**settings, "segment.ms": "40"}).segment_ms == 40


def test_without_limits_there_are_none() -> None:
    config = logs_of({})
    assert (config.max_compaction_lag_ms, config.flush_ms, config.compression) == (NEVER_MS, NEVER_MS, None)
