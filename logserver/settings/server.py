"""The server's settings: names, types, defaults, bounds and meaning, one field each (see definition.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from logserver.settings.addresses import (
    OFF,
    Address,
    check_advertised,
    check_kafka_listener,
    check_listener,
    parse_address,
    parse_kafka_address,
)
from logserver.settings.definition import (
    INT32_MAX,
    INT64_MAX,
    About,
    Definition,
    KafkaDifference,
    definitions_of,
)

Source: TypeAlias = Literal["default", "file", "environment", "command line", "metadata store"]
CleanupPolicy: TypeAlias = Literal["delete", "compact"]
TimestampType: TypeAlias = Literal["CreateTime", "LogAppendTime"]
CompressionType: TypeAlias = Literal["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]
Assignor: TypeAlias = Literal["uniform", "range"]
MigrationPolicy: TypeAlias = Literal["disabled", "upgrade", "downgrade", "bidirectional"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["text", "json"]

MINIMUM_SEGMENT_BYTES: Final = 1024
"""Kafka 4 asks for 1 MiB; smaller segments make rolling and retention visible in examples and tests."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one server, read once at its start by `load_settings`.

    An attribute is the dotted name with underscores: `log_segment_bytes` is log.segment.bytes. Values that came from
    somewhere else than the defaults are named in `sources`; `source_of` answers for every setting.
    """

    # This node and its directory.
    node_id: Annotated[
        int,
        About(
            "Id of this server among the servers of its cluster.",
            minimum=0,
            maximum=INT32_MAX,
            differs=KafkaDifference("none", "A first server starts without a configuration file."),
        ),
    ] = 1
    log_dirs: Annotated[
        tuple[str, ...],
        About(
            "Directories that hold all data, on a disk each; made if they do not exist. A new partition goes to the "
            "one that has the fewest.",
            example="/var/lib/logserver",
            differs=KafkaDifference("/tmp/kafka-logs", "Data in /tmp is lost at the next boot of many systems."),
        ),
    ] = ("./logserver-data",)
    metadata_log_dir: Annotated[
        str | None,
        About(
            "Which of log.dirs has the log of topics and settings; it stays where it was made.",
            example="/var/lib/logserver",
            unset="the first of log.dirs, when it is made",
        ),
    ] = None
    log_dirs_lost: Annotated[
        tuple[str, ...],
        About(
            "Ids (directory.id in meta.properties) of data directories that are lost for good: partitions that were "
            "there are made anew, empty. Without this they stay offline.",
            may_be_empty=True,
            ours=True,
        ),
    ] = ()
    log_dir_min_free_bytes: Annotated[
        int,
        About(
            "Bytes to be kept free on a data directory's file system: below this no records are taken, while reading "
            "and deleting go on; 0 keeps none.",
            minimum=0,
            example="1073741824",
            ours=True,
        ),
    ] = 67_108_864

    # Doors.
    grpc_listeners: Annotated[
        tuple[str, ...],
        About(
            "Addresses on which the gRPC door listens, as HOST:PORT with commas between them; port 0 picks a free one.",
            check=check_listener,
            ours=True,
        ),
    ] = ("127.0.0.1:50051",)
    grpc_advertised_listeners: Annotated[
        tuple[str, ...],
        About(
            "Addresses by which clients reach the gRPC door, where they differ from grpc.listeners (NAT, containers).",
            check=check_advertised,
            may_be_empty=True,
            example="logs.example.com:50051",
            ours=True,
        ),
    ] = ()
    listeners: Annotated[
        tuple[str, ...],
        About(
            "Addresses on which the door for Kafka clients listens, as HOST:PORT or PLAINTEXT://HOST:PORT with commas "
            "between them; port 0 picks a free one, `off` closes the door.",
            check=check_kafka_listener,
            differs=KafkaDifference("PLAINTEXT://:9092", "There is no authentication yet: this machine only."),
        ),
    ] = ("127.0.0.1:9092",)
    advertised_listeners: Annotated[
        tuple[str, ...],
        About(
            "Addresses by which Kafka clients reach the listeners, one each or one for all, where they differ from "
            "`listeners` (NAT, containers).",
            check=check_advertised,
            may_be_empty=True,
            example="logs.example.com:9092",
        ),
    ] = ()
    max_connections: Annotated[
        int,
        About(
            "Most connections of Kafka clients open at a time.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference(str(INT32_MAX), "Nothing is unbounded here."),
        ),
    ] = 20_000
    connections_max_idle_ms: Annotated[
        int, About("Milliseconds after which a Kafka client's connection without any traffic is closed.", minimum=100)
    ] = 600_000
    socket_request_max_bytes: Annotated[
        int, About("Largest request of a Kafka client, in bytes.", minimum=1024, maximum=INT32_MAX)
    ] = 104_857_600
    request_max_elements: Annotated[
        int,
        About(
            "Most topics, partitions, groups and other elements of lists in one request of a Kafka client, all "
            "together; each takes up to two kilobytes of memory until it is answered.",
            minimum=1_000,
            maximum=INT32_MAX,
            ours=True,
        ),
    ] = 200_000
    connection_max_inflight_bytes: Annotated[
        int,
        About(
            "Bytes of unanswered requests on one Kafka client's connection, of what they hold in memory, and of "
            "responses that wait for the ones before them, above which the server reads no further.",
            minimum=65_536,
            ours=True,
        ),
    ] = 67_108_864

    # Topics and partitions.
    num_partitions: Annotated[
        int,
        About("Partitions of a new topic whose creator does not say how many.", minimum=1, maximum=INT32_MAX),
    ] = 1
    auto_create_topics_enable: Annotated[
        bool,
        About(
            "Whether a topic that a Kafka client asks for by name is created if it is not there; "
            "through gRPC only CreateTopic creates topics."
        ),
    ] = True
    max_topics: Annotated[
        int, About("Most topics that this server keeps.", minimum=1, maximum=INT32_MAX, ours=True)
    ] = 200_000
    max_partitions: Annotated[
        int,
        About("Most partitions that this server keeps, over all topics.", minimum=1, maximum=INT32_MAX, ours=True),
    ] = 200_000
    max_partitions_per_topic: Annotated[
        int, About("Most partitions that one topic may have.", minimum=1, maximum=INT32_MAX, ours=True)
    ] = 10_000
    min_insync_replicas: Annotated[
        int,
        About("Copies that acks=all waits for; a single server has one.", minimum=1, maximum=1),
    ] = 1

    # Records.
    message_max_bytes: Annotated[
        int,
        About(
            "Largest record batch accepted, in bytes as sent (compressed); "
            "one gRPC message that carries it must also fit grpc.max.message.bytes.",
            minimum=0,
            maximum=INT32_MAX,
        ),
    ] = 1_048_588
    log_message_timestamp_type: Annotated[
        TimestampType,
        About("Whether records keep the time their producer gave them or get the time at which they are appended."),
    ] = "CreateTime"
    log_message_timestamp_before_max_ms: Annotated[
        int,
        About("How far a record's own timestamp may lie in the past, in milliseconds.", minimum=0, example="86400000"),
    ] = INT64_MAX
    log_message_timestamp_after_max_ms: Annotated[
        int, About("How far a record's own timestamp may lie in the future, in milliseconds.", minimum=0)
    ] = 3_600_000
    compression_type: Annotated[
        CompressionType,
        About(
            "How batches are compressed on disk: `producer` keeps each as its producer sent it, another value has "
            "those that come otherwise compressed anew."
        ),
    ] = "producer"
    compression_gzip_level: Annotated[
        int, About("Level of gzip where `compression.type` is gzip; -1 is its default.", minimum=-1, maximum=9)
    ] = -1
    compression_lz4_level: Annotated[
        int,
        About("Level of LZ4 where `compression.type` is lz4; 9, the default, is its fast one.", minimum=1, maximum=17),
    ] = 9
    compression_zstd_level: Annotated[
        int, About("Level of Zstandard where `compression.type` is zstd.", minimum=-131_072, maximum=22)
    ] = 3
    record_batch_max_decompressed_bytes: Annotated[
        int,
        About(
            "Most bytes that one record batch may grow to where the server has to decompress it.",
            minimum=1024,
            maximum=INT32_MAX,
            ours=True,
        ),
    ] = 67_108_864

    # Segments and indexes.
    log_segment_bytes: Annotated[
        int,
        About(
            "Size in bytes at which a log goes on in a new segment file.",
            minimum=MINIMUM_SEGMENT_BYTES,
            maximum=INT32_MAX,
        ),
    ] = 1_073_741_824
    log_roll_ms: Annotated[
        int | None,
        About(
            "Age in milliseconds at which a log goes on in a new segment file although the old one is not full.",
            minimum=1,
            example="604800000",
            unset="log.roll.hours applies",
        ),
    ] = None
    log_roll_hours: Annotated[
        int, About("The same as log.roll.ms in hours; used where that is not set.", minimum=1, maximum=INT32_MAX)
    ] = 168
    log_index_interval_bytes: Annotated[
        int,
        About("Bytes of records between two entries of the offset index.", minimum=0, maximum=INT32_MAX),
    ] = 4096
    log_index_size_max_bytes: Annotated[
        int,
        About("Size in bytes at which an index is full, so that its segment is rolled.", minimum=4, maximum=INT32_MAX),
    ] = 10_485_760
    log_segment_delete_delay_ms: Annotated[
        int, About("How long files of deleted segments and topics stay on disk, in milliseconds.", minimum=0)
    ] = 60_000

    # Retention and compaction.
    log_cleanup_policy: Annotated[
        tuple[CleanupPolicy, ...],
        About(
            "What happens to old records: `delete` removes old segments, `compact` keeps each key's last record, "
            "`delete,compact` does both.",
            example="delete,compact",
        ),
    ] = ("delete",)
    log_retention_ms: Annotated[
        int | None,
        About(
            "Age in milliseconds at which segments are deleted; -1 is never.",
            minimum=-1,
            example="604800000",
            unset="log.retention.minutes applies",
        ),
    ] = None
    log_retention_minutes: Annotated[
        int | None,
        About(
            "The same as log.retention.ms in minutes; used where that is not set.",
            minimum=-1,
            maximum=INT32_MAX,
            example="10080",
            unset="log.retention.hours applies",
        ),
    ] = None
    log_retention_hours: Annotated[
        int,
        About(
            "The same as log.retention.ms in hours; used where neither milliseconds nor minutes are set.",
            minimum=-1,
            maximum=INT32_MAX,
        ),
    ] = 168
    log_retention_bytes: Annotated[
        int,
        About(
            "Size in bytes above which a partition's oldest segments are deleted; -1 is no limit.",
            minimum=-1,
            example="10737418240",
        ),
    ] = -1
    log_retention_check_interval_ms: Annotated[
        int, About("Milliseconds between two looks for segments to delete.", minimum=1)
    ] = 300_000
    log_cleaner_backoff_ms: Annotated[
        int, About("Milliseconds between two looks for logs to compact when there was none.", minimum=0)
    ] = 15_000
    log_cleaner_min_cleanable_ratio: Annotated[
        float,
        About(
            "Share of a log that has to be new since its last compaction before it is compacted again.",
            minimum=0,
            maximum=1,
        ),
    ] = 0.5
    log_cleaner_delete_retention_ms: Annotated[
        int, About("How long compaction keeps a key's tombstone (a record without value), in milliseconds.", minimum=0)
    ] = 86_400_000
    log_cleaner_min_compaction_lag_ms: Annotated[
        int, About("Age in milliseconds below which a record is not compacted away.", minimum=0, example="60000")
    ] = 0
    log_cleaner_max_compaction_lag_ms: Annotated[
        int,
        About(
            "Age in milliseconds at which records are compacted even if little of the log is new.",
            minimum=1,
            example="86400000",
        ),
    ] = INT64_MAX
    log_cleaner_dedupe_buffer_size: Annotated[
        int,
        About(
            "Bytes of the table of keys that compaction fills, 24 a key; where there are more keys a log is compacted "
            "in several turns.",
            minimum=1024,
            maximum=1 << 40,
        ),
    ] = 134_217_728
    log_cleaner_io_buffer_load_factor: Annotated[
        float,
        About(
            "Share of log.cleaner.dedupe.buffer.size that is filled at most; fuller is slower.",
            minimum=0.01,
            maximum=1,
        ),
    ] = 0.9
    log_cleaner_io_max_bytes_per_second: Annotated[
        float | None,
        About(
            "Most bytes that compaction reads and writes in a second, together.",
            minimum=1024,
            example="50000000",
            unset="there is no limit",
        ),
    ] = None

    # Durability.
    log_flush_interval_messages: Annotated[
        int,
        About(
            "Records after which a log is flushed to disk; with 1 every acknowledged record is on disk.",
            minimum=1,
            differs=KafkaDifference(
                str(INT64_MAX), "What is acknowledged survives a power cut; one server has no replicas to fall back on."
            ),
        ),
    ] = 1
    log_flush_interval_ms: Annotated[
        int | None,
        About(
            "Longest time in milliseconds that records wait for a flush to disk.",
            minimum=0,
            example="1000",
            unset="time alone causes no flush",
        ),
    ] = None
    log_flush_offset_checkpoint_interval_ms: Annotated[
        int,
        About("Milliseconds between two notes of how far logs are flushed, which bound recovery's work.", minimum=0),
    ] = 60_000

    # Producers.
    producer_id_expiration_ms: Annotated[
        int, About("Milliseconds after which the sequence numbers of a silent producer are forgotten.", minimum=1)
    ] = 86_400_000
    producer_id_expiration_check_interval_ms: Annotated[
        int, About("Milliseconds between two looks for silent producers.", minimum=1, maximum=INT32_MAX)
    ] = 600_000
    log_max_producers_per_partition: Annotated[
        int,
        About(
            "Most producers whose sequence numbers one partition remembers.", minimum=1, maximum=INT32_MAX, ours=True
        ),
    ] = 100_000

    # Consumer groups.
    group_consumer_session_timeout_ms: Annotated[
        int,
        About(
            "How long a member of a consumer group may be silent, in milliseconds, before its partitions go to others.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 45_000
    group_consumer_heartbeat_interval_ms: Annotated[
        int,
        About(
            "How often members of consumer groups are asked to send a heartbeat, in milliseconds; a fraction of "
            "group.consumer.session.timeout.ms.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 5_000
    group_consumer_assignment_interval_ms: Annotated[
        int,
        About(
            "Shortest time in milliseconds between two assignments of a consumer group; large groups take longer.",
            minimum=0,
            maximum=INT32_MAX,
            differs=KafkaDifference("1000", "A second consumer that waits a second for its partitions annoys."),
        ),
    ] = 100
    group_consumer_min_session_timeout_ms: Annotated[
        int,
        About(
            "Least consumer.session.timeout.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference("45000", "Short sessions make examples and tests quick."),
        ),
    ] = 1
    group_consumer_max_session_timeout_ms: Annotated[
        int,
        About(
            "Largest consumer.session.timeout.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 60_000
    group_consumer_min_heartbeat_interval_ms: Annotated[
        int,
        About(
            "Least consumer.heartbeat.interval.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference("5000", "Short sessions make examples and tests quick."),
        ),
    ] = 1
    group_consumer_max_heartbeat_interval_ms: Annotated[
        int,
        About(
            "Largest consumer.heartbeat.interval.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 15_000
    group_consumer_min_assignment_interval_ms: Annotated[
        int,
        About(
            "Least consumer.assignment.interval.ms that a group may be given.",
            minimum=0,
            maximum=INT32_MAX,
        ),
    ] = 0
    group_consumer_max_assignment_interval_ms: Annotated[
        int,
        About(
            "Largest consumer.assignment.interval.ms that a group may be given.",
            minimum=0,
            maximum=INT32_MAX,
        ),
    ] = 15_000
    group_consumer_max_size: Annotated[
        int,
        About(
            "Most members that one consumer group may have.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference(str(INT32_MAX), "Nothing is unbounded here."),
        ),
    ] = 10_000
    group_consumer_assignors: Annotated[
        tuple[Assignor, ...],
        About(
            "Assignors that members of consumer groups may ask for; the first one serves those that do not ask.",
            example="range,uniform",
        ),
    ] = ("uniform", "range")
    group_consumer_migration_policy: Annotated[
        MigrationPolicy,
        About(
            "Which groups change their protocol while members run: `upgrade` makes a classic group a consumer group "
            "when a consumer of that protocol joins, `downgrade` a consumer group a classic one when the last such "
            "consumer has gone, `bidirectional` does both."
        ),
    ] = "bidirectional"
    # Share groups.
    group_share_session_timeout_ms: Annotated[
        int,
        About(
            "How long a member of a share group may be silent, in milliseconds, before it is given up.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 45_000
    group_share_heartbeat_interval_ms: Annotated[
        int,
        About(
            "How often members of share groups are asked to send a heartbeat, in milliseconds.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 5_000
    group_share_assignment_interval_ms: Annotated[
        int,
        About(
            "Shortest time in milliseconds between two assignments of a share group.",
            minimum=0,
            maximum=INT32_MAX,
            differs=KafkaDifference("1000", "A second consumer that waits a second for its partitions annoys."),
        ),
    ] = 100
    group_share_record_lock_duration_ms: Annotated[
        int,
        About(
            "How long, in milliseconds, a record that a member of a share group was given is kept from the others.",
            minimum=1_000,
            maximum=3_600_000,
        ),
    ] = 30_000
    group_share_delivery_count_limit: Annotated[
        int,
        About(
            "How often a record is delivered to a share group at most.",
            minimum=2,
            maximum=10,
        ),
    ] = 5
    group_share_partition_max_record_locks: Annotated[
        int,
        About(
            "How many offsets of a partition may be under way in a share group, from the first that is not settled.",
            minimum=100,
            maximum=10_000,
        ),
    ] = 2_000
    group_share_max_size: Annotated[
        int,
        About(
            "Most members that one share group may have.",
            minimum=1,
            maximum=1_000,
        ),
    ] = 200
    group_share_max_share_sessions: Annotated[
        int,
        About(
            "Most members of share groups that may fetch from this server at a time.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 2_000
    group_share_min_session_timeout_ms: Annotated[
        int,
        About(
            "Least share.session.timeout.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference("45000", "Short sessions make examples and tests quick."),
        ),
    ] = 1
    group_share_max_session_timeout_ms: Annotated[
        int,
        About(
            "Largest share.session.timeout.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 60_000
    group_share_min_heartbeat_interval_ms: Annotated[
        int,
        About(
            "Least share.heartbeat.interval.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference("5000", "Short sessions make examples and tests quick."),
        ),
    ] = 1
    group_share_max_heartbeat_interval_ms: Annotated[
        int,
        About(
            "Largest share.heartbeat.interval.ms that a group may be given.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 15_000
    group_share_min_assignment_interval_ms: Annotated[
        int,
        About(
            "Least share.assignment.interval.ms that a group may be given.",
            minimum=0,
            maximum=INT32_MAX,
        ),
    ] = 0
    group_share_max_assignment_interval_ms: Annotated[
        int,
        About(
            "Largest share.assignment.interval.ms that a group may be given.",
            minimum=0,
            maximum=INT32_MAX,
        ),
    ] = 15_000
    group_share_min_record_lock_duration_ms: Annotated[
        int,
        About(
            "Least share.record.lock.duration.ms that a group may be given.",
            minimum=1_000,
            maximum=30_000,
            differs=KafkaDifference("15000", "Short locks make examples and tests quick."),
        ),
    ] = 1_000
    group_share_max_record_lock_duration_ms: Annotated[
        int,
        About(
            "Largest share.record.lock.duration.ms that a group may be given.",
            minimum=30_000,
            maximum=3_600_000,
        ),
    ] = 60_000
    group_share_min_delivery_count_limit: Annotated[
        int,
        About(
            "Least share.delivery.count.limit that a group may be given.",
            minimum=2,
            maximum=5,
        ),
    ] = 2
    group_share_max_delivery_count_limit: Annotated[
        int,
        About(
            "Largest share.delivery.count.limit that a group may be given.",
            minimum=5,
            maximum=25,
        ),
    ] = 10
    group_share_min_partition_max_record_locks: Annotated[
        int,
        About(
            "Least share.partition.max.record.locks that a group may be given.",
            minimum=100,
            maximum=2_000,
        ),
    ] = 100
    group_share_max_partition_max_record_locks: Annotated[
        int,
        About(
            "Largest share.partition.max.record.locks that a group may be given.",
            minimum=2_000,
            maximum=10_000,
        ),
    ] = 4_000

    # Groups of the classic protocol, and all groups.
    group_min_session_timeout_ms: Annotated[
        int,
        About(
            "Shortest session timeout that a member with the classic protocol may ask for, in milliseconds.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 6_000
    group_max_session_timeout_ms: Annotated[
        int,
        About(
            "Longest session timeout that a member with the classic protocol may ask for, in milliseconds.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 1_800_000
    group_max_size: Annotated[
        int,
        About(
            "Most members that one group of the classic protocol may have.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference(str(INT32_MAX), "Nothing is unbounded here."),
        ),
    ] = 10_000
    group_initial_rebalance_delay_ms: Annotated[
        int,
        About(
            "How long a new group of the classic protocol waits for more members before its first generation, in "
            "milliseconds.",
            minimum=0,
            maximum=INT32_MAX,
            differs=KafkaDifference("3000", "Three seconds before a first consumer gets anything annoy."),
        ),
    ] = 0
    group_max_groups: Annotated[
        int, About("Most groups that this server keeps.", minimum=1, maximum=INT32_MAX, ours=True)
    ] = 100_000
    offset_metadata_max_bytes: Annotated[
        int, About("Largest metadata of a committed offset, in bytes.", minimum=0, maximum=INT32_MAX)
    ] = 4_096
    offsets_retention_minutes: Annotated[
        int,
        About(
            "How long committed offsets are kept, in minutes, after the group has lost its last member or, for topics "
            "that no member subscribes to, after the commit.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 10_080
    offsets_retention_check_interval_ms: Annotated[
        int, About("Milliseconds between two looks for committed offsets to forget.", minimum=1)
    ] = 600_000
    offsets_topic_num_partitions: Annotated[
        int,
        About(
            "Partitions of the topic that keeps groups and offsets, __consumer_offsets, when it is made.",
            minimum=1,
            maximum=10_000,
        ),
    ] = 50
    offsets_topic_segment_bytes: Annotated[
        int, About("Size in bytes of the segments of __consumer_offsets.", minimum=1024, maximum=INT32_MAX)
    ] = 104_857_600

    # Transactions.
    transaction_max_timeout_ms: Annotated[
        int,
        About(
            "Longest timeout in milliseconds that a transactional producer may ask for; a transaction that is open for "
            "longer than its timeout is aborted.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 900_000
    transactional_id_expiration_ms: Annotated[
        int,
        About(
            "Milliseconds after which a transactional id is forgotten that nobody has used.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 604_800_000
    transaction_remove_expired_transaction_cleanup_interval_ms: Annotated[
        int,
        About("Milliseconds between two looks for transactional ids to forget.", minimum=1, maximum=INT32_MAX),
    ] = 3_600_000
    transaction_partition_verification_enable: Annotated[
        bool,
        About(
            "Whether records of a transaction are taken only after its coordinator has said that it is open and has "
            "the partition (KIP-890)."
        ),
    ] = True
    transaction_max_partitions: Annotated[
        int, About("Most partitions of one transaction.", minimum=1, maximum=INT32_MAX, ours=True)
    ] = 100_000
    transaction_max_ids: Annotated[
        int,
        About(
            "Most transactional ids that one partition of __transaction_state keeps.",
            minimum=1,
            maximum=INT32_MAX,
            ours=True,
        ),
    ] = 100_000
    transaction_state_log_num_partitions: Annotated[
        int,
        About(
            "Partitions of the topic that keeps transactions, __transaction_state, when it is made.",
            minimum=1,
            maximum=10_000,
        ),
    ] = 50
    transaction_state_log_segment_bytes: Annotated[
        int, About("Size in bytes of the segments of __transaction_state.", minimum=1024, maximum=INT32_MAX)
    ] = 104_857_600

    # Share groups and queues.
    share_coordinator_state_topic_num_partitions: Annotated[
        int,
        About(
            "Partitions of the topic that keeps what share groups have done, __share_group_state, when it is made.",
            minimum=1,
            maximum=10_000,
        ),
    ] = 50
    share_coordinator_state_topic_segment_bytes: Annotated[
        int,
        About(
            "Size in bytes of the segments of __share_group_state. All that is known of one share group's work on one "
            "partition has to fit into one: up to 32 bytes for each record in flight.",
            minimum=1024,
            maximum=INT32_MAX,
        ),
    ] = 104_857_600
    share_coordinator_snapshot_update_records_per_snapshot: Annotated[
        int,
        About(
            "Changes of a state in __share_group_state between two records that have all of it; more where these are "
            "large.",
            minimum=0,
            maximum=500,
        ),
    ] = 500
    share_coordinator_state_topic_prune_interval_ms: Annotated[
        int,
        About(
            "Milliseconds between two times that what is not needed any more is deleted from __share_group_state.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 300_000
    share_coordinator_cold_partition_snapshot_interval_ms: Annotated[
        int,
        About(
            "Milliseconds without a change after which a state is written again, so that its old records in "
            "__share_group_state can be deleted.",
            minimum=1,
            maximum=INT32_MAX,
        ),
    ] = 300_000
    queue_history_retention_ms: Annotated[
        int,
        About(
            "How long the story of records in share groups and queues is kept, in milliseconds: who had them, and what "
            "came of it. -1 for ever, 0 not at all. It stands in the topic __queue_history, which keeps the value that "
            "it was made with.",
            minimum=-1,
            maximum=INT64_MAX,
            ours=True,
        ),
    ] = 86_400_000

    # Metrics of clients.
    client_metrics_topic: Annotated[
        str | None,
        About(
            "Topic that takes the metrics which Kafka clients send (KIP-714), as they are sent; made when the first "
            "come.",
            example="client-metrics",
            ours=True,
            unset="no client is asked for metrics",
        ),
    ] = None
    client_metrics_max_instances: Annotated[
        int,
        About(
            "Most clients whose sending of metrics this server keeps track of.",
            minimum=1,
            maximum=INT32_MAX,
            ours=True,
        ),
    ] = 16_384
    client_metrics_max_subscriptions: Annotated[
        int,
        About(
            "Most subscriptions to clients' metrics that this server keeps.",
            minimum=0,
            maximum=INT32_MAX,
            ours=True,
        ),
    ] = 100
    telemetry_max_bytes: Annotated[
        int,
        About("Most bytes of metrics, compressed, that a client may send at a time.", minimum=1, maximum=INT32_MAX),
    ] = 1_048_576

    # Limits of the doors.
    fetch_max_bytes: Annotated[
        int, About("Most bytes of records in one answer to a fetch.", minimum=1024, maximum=INT32_MAX)
    ] = 57_671_680
    max_incremental_fetch_session_cache_slots: Annotated[
        int,
        About(
            "Most incremental fetch sessions of Kafka clients that are remembered; others read without one.",
            minimum=0,
            maximum=INT32_MAX,
        ),
    ] = 1_000
    max_incremental_fetch_session_cache_partitions: Annotated[
        int,
        About(
            "Most partitions that are remembered in all incremental fetch sessions together, some 400 bytes each.",
            minimum=0,
            maximum=INT32_MAX,
            ours=True,
        ),
    ] = 500_000
    max_request_partition_size_limit: Annotated[
        int,
        About(
            "Most partitions that one request of gRPC may name, one CreateTopics may make, and one answer of "
            "DescribeTopicPartitions may tell of.",
            minimum=1,
            maximum=INT32_MAX,
            differs=KafkaDifference("2000", "As many as one topic may have, and Kafka's own limit for CreateTopics."),
        ),
    ] = 10_000
    grpc_max_message_bytes: Annotated[
        int,
        About("Largest gRPC message that the server accepts, in bytes.", minimum=65_536, maximum=INT32_MAX, ours=True),
    ] = 16_777_216
    grpc_max_concurrent_calls: Annotated[
        int,
        About("Most gRPC calls (streams count as one each) served at a time.", minimum=1, maximum=INT32_MAX, ours=True),
    ] = 10_000
    grpc_max_wait_ms: Annotated[
        int,
        About(
            "Longest time in milliseconds that a fetch may wait for records.", minimum=0, maximum=INT32_MAX, ours=True
        ),
    ] = 300_000
    grpc_stream_max_inflight_bytes: Annotated[
        int,
        About(
            "Bytes of unanswered records on one produce stream above which the server reads no further.",
            minimum=65_536,
            ours=True,
        ),
    ] = 67_108_864
    grpc_subscribe_max_credit_bytes: Annotated[
        int,
        About("Most credit in bytes that one subscription may hold.", minimum=65_536, ours=True),
    ] = 67_108_864

    # This process.
    log_open_files_max: Annotated[
        int | None,
        About(
            "Most segment and index files kept open at a time.",
            minimum=64,
            maximum=INT32_MAX,
            example="10000",
            ours=True,
            unset="a quarter of the process's limit of open files (ulimit -n)",
        ),
    ] = None
    num_read_threads_per_data_dir: Annotated[
        int,
        About(
            "Reads of records that are not in memory, that go on at a time in one data directory; others wait.",
            minimum=1,
            maximum=1_000,
            ours=True,
        ),
    ] = 8
    log_mapped_files_max: Annotated[
        int | None,
        About(
            "Most segment and index files mapped into memory at a time.",
            minimum=64,
            maximum=INT32_MAX,
            example="20000",
            ours=True,
            unset="a third of the system's limit of mappings (vm.max_map_count), never more than open files",
        ),
    ] = None
    thread_switch_interval_ms: Annotated[
        float,
        About(
            "How long a Python thread may run while others wait, in milliseconds; shorter makes flushes answer sooner.",
            minimum=0.01,
            maximum=1000,
            ours=True,
        ),
    ] = 0.5
    shutdown_grace_ms: Annotated[
        int,
        About(
            "How long a stopping server waits for calls to end before it cuts them off, in milliseconds.",
            minimum=0,
            maximum=8_000,
            ours=True,
        ),
    ] = 5_000
    shutdown_flush_ms: Annotated[
        int,
        About(
            "How long a stopping server waits for its disks to take everything, in milliseconds; if that is not "
            "enough, the next start checks the logs.",
            minimum=1_000,
            maximum=INT32_MAX,
            ours=True,
        ),
    ] = 20_000
    log_level: Annotated[LogLevel, About("Lowest level of the server's own log lines.", ours=True)] = "info"
    log_format: Annotated[LogFormat, About("Form of the server's own log lines on standard error.", ours=True)] = "text"

    sources: dict[str, Source] = msgspec.field(default_factory=dict)
    """Where each value that is not a default came from, by dotted name."""

    def source_of(self, name: str) -> Source:
        """Where the value of the setting with this dotted name came from."""
        return self.sources.get(name, "default")

    @property
    def data_directories(self) -> tuple[Path, ...]:
        """The directories of log.dirs."""
        return tuple(map(Path, self.log_dirs))

    @property
    def grpc_addresses(self) -> tuple[Address, ...]:
        """grpc.listeners as addresses to listen on."""
        return tuple(parse_address(text) for text in self.grpc_listeners)

    @property
    def kafka_addresses(self) -> tuple[Address, ...]:
        """listeners as addresses to listen on; empty if the door is closed."""
        return tuple(parse_kafka_address(text) for text in self.listeners if text != OFF)

    @property
    def kafka_advertised_addresses(self) -> tuple[Address, ...]:
        """advertised.listeners; empty where the addresses listened on are the ones to tell clients."""
        return tuple(parse_kafka_address(text) for text in self.advertised_listeners)

    @property
    def grpc_advertised_addresses(self) -> tuple[Address, ...]:
        """grpc.advertised.listeners; empty where the addresses listened on are the ones to tell clients."""
        return tuple(parse_address(text) for text in self.grpc_advertised_listeners)


SERVER_DEFINITIONS: Final[dict[str, Definition]] = definitions_of(ServerSettings)
"""Every server setting by dotted name."""
