"""The settings of one log, resolved: what the engine needs of a topic's settings, in Kafka's names and units."""

from dataclasses import dataclass
from typing import Final

from logserver_records.compression import Compression

UNLIMITED: Final = -1
NEVER_MS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Settings of a log. Names and defaults are those of Kafka's topic settings, except `flush_messages`.

    Sizes in bytes, times in milliseconds; -1 in `retention_*` means without limit.
    """

    segment_bytes: int = 1 << 30
    segment_ms: int = 7 * 24 * 3600 * 1000
    segment_jitter_ms: int = 0
    segment_index_bytes: int = 10 << 20
    index_interval_bytes: int = 4096
    retention_ms: int = 7 * 24 * 3600 * 1000
    retention_bytes: int = UNLIMITED
    max_message_bytes: int = 1048588
    # Kafka's default is to leave it to the operating system; here acknowledged means durable.
    flush_messages: int = 1
    flush_ms: int = NEVER_MS
    file_delete_delay_ms: int = 60_000
    compact: bool = False
    delete: bool = True
    log_append_time: bool = False
    timestamp_before_max_ms: int = NEVER_MS
    timestamp_after_max_ms: int = 3600_000
    min_cleanable_dirty_ratio: float = 0.5
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = NEVER_MS
    delete_retention_ms: int = 24 * 3600 * 1000
    # What batches are stored with; None keeps each as its producer sent it.
    compression: Compression | None = None
    compression_level: int | None = None
    max_producers: int = 100_000
    producer_expiration_ms: int = 24 * 3600 * 1000
    max_decompressed_bytes: int = 64 << 20
    # Whether it may be written to also where `log.dir.min.free.bytes` keeps other logs from it.
    uses_reserved_space: bool = False
