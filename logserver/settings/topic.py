"""Topic settings: names, types, bounds and meaning, and how a topic's overrides meet the server's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

import msgspec

from logserver.settings.definition import (
    INT32_MAX,
    INT64_MAX,
    About,
    Definition,
    Inherited,
    Value,
    definitions_of,
)
from logserver.settings.server import (
    MINIMUM_SEGMENT_BYTES,
    SERVER_DEFINITIONS,
    CleanupPolicy,
    CompressionType,
    ServerSettings,
    TimestampType,
)
from logserver.settings.topic_idle import IDLE_TOPIC_DEFINITIONS
from logserver.settings.values import SettingsError, format_value, parse_value, unknown_setting


def _server(attribute: str) -> Inherited:
    return Inherited(((attribute, 1),))


class TopicSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force for one topic: its own overrides over the server's defaults; made by `resolve`."""

    cleanup_policy: Annotated[
        tuple[CleanupPolicy, ...],
        About(
            "What happens to old records: `delete` removes old segments, `compact` keeps each key's last record, "
            "`delete,compact` does both, and with neither they stay.",
            example="delete,compact",
            may_be_empty=True,
            inherited=_server("log_cleanup_policy"),
        ),
    ]
    retention_ms: Annotated[
        int,
        About(
            "Age in milliseconds at which segments are deleted; -1 is never.",
            minimum=-1,
            example="604800000",
            inherited=Inherited(
                (("log_retention_ms", 1), ("log_retention_minutes", 60_000), ("log_retention_hours", 3_600_000))
            ),
        ),
    ]
    retention_bytes: Annotated[
        int,
        About(
            "Size in bytes above which a partition's oldest segments are deleted; -1 is no limit.",
            minimum=-1,
            example="10737418240",
            inherited=_server("log_retention_bytes"),
        ),
    ]
    segment_bytes: Annotated[
        int,
        About(
            "Size in bytes at which a partition's log goes on in a new segment file.",
            minimum=MINIMUM_SEGMENT_BYTES,
            maximum=INT32_MAX,
            example="1073741824",
            inherited=_server("log_segment_bytes"),
        ),
    ]
    segment_ms: Annotated[
        int,
        About(
            "Age in milliseconds at which a log goes on in a new segment file although the old one is not full.",
            minimum=1,
            example="604800000",
            inherited=Inherited((("log_roll_ms", 1), ("log_roll_hours", 3_600_000))),
        ),
    ]
    segment_jitter_ms: Annotated[
        int,
        About(
            "Segments may be rolled by up to so many milliseconds before segment.ms is over, each by another number, "
            "so that not all logs roll at once.",
            minimum=0,
            example="60000",
        ),
    ] = 0
    segment_index_bytes: Annotated[
        int,
        About(
            "Size in bytes at which an index is full, so that its segment is rolled.",
            minimum=4,
            maximum=INT32_MAX,
            example="10485760",
            inherited=_server("log_index_size_max_bytes"),
        ),
    ]
    index_interval_bytes: Annotated[
        int,
        About(
            "Bytes of records between two entries of the offset index.",
            minimum=0,
            maximum=INT32_MAX,
            example="4096",
            inherited=_server("log_index_interval_bytes"),
        ),
    ]
    max_message_bytes: Annotated[
        int,
        About(
            "Largest record batch accepted, in bytes as sent (compressed).",
            minimum=0,
            maximum=INT32_MAX,
            example="1048588",
            inherited=_server("message_max_bytes"),
        ),
    ]
    flush_messages: Annotated[
        int,
        About(
            "Records after which a log is flushed to disk; with 1 every acknowledged record is on disk.",
            minimum=1,
            inherited=_server("log_flush_interval_messages"),
        ),
    ]
    flush_ms: Annotated[
        int,
        About(
            "Longest time in milliseconds that records wait for a flush to disk.",
            minimum=0,
            example="1000",
            inherited=Inherited((("log_flush_interval_ms", 1),), otherwise=INT64_MAX),
        ),
    ]
    file_delete_delay_ms: Annotated[
        int,
        About(
            "How long files of deleted segments stay on disk, in milliseconds.",
            minimum=0,
            example="60000",
            inherited=_server("log_segment_delete_delay_ms"),
        ),
    ]
    message_timestamp_type: Annotated[
        TimestampType,
        About(
            "Whether records keep the time their producer gave them or get the time at which they are appended.",
            inherited=_server("log_message_timestamp_type"),
        ),
    ]
    message_timestamp_before_max_ms: Annotated[
        int,
        About(
            "How far a record's own timestamp may lie in the past, in milliseconds.",
            minimum=0,
            example="86400000",
            inherited=_server("log_message_timestamp_before_max_ms"),
        ),
    ]
    message_timestamp_after_max_ms: Annotated[
        int,
        About(
            "How far a record's own timestamp may lie in the future, in milliseconds.",
            minimum=0,
            example="3600000",
            inherited=_server("log_message_timestamp_after_max_ms"),
        ),
    ]
    min_insync_replicas: Annotated[
        int,
        About(
            "Copies that acks=all waits for; a single server has one.",
            minimum=1,
            maximum=1,
            inherited=_server("min_insync_replicas"),
        ),
    ]
    compression_type: Annotated[
        CompressionType,
        About(
            "How batches are compressed on disk: `producer` keeps each as its producer sent it, another value has "
            "those that come otherwise compressed anew.",
            inherited=_server("compression_type"),
        ),
    ]
    compression_gzip_level: Annotated[
        int,
        About(
            "Level of gzip where `compression.type` is gzip; -1 is its default.",
            minimum=-1,
            maximum=9,
            inherited=_server("compression_gzip_level"),
        ),
    ]
    compression_lz4_level: Annotated[
        int,
        About(
            "Level of LZ4 where `compression.type` is lz4; 9, the default, is its fast one.",
            minimum=1,
            maximum=17,
            inherited=_server("compression_lz4_level"),
        ),
    ]
    compression_zstd_level: Annotated[
        int,
        About(
            "Level of Zstandard where `compression.type` is zstd.",
            minimum=-131_072,
            maximum=22,
            inherited=_server("compression_zstd_level"),
        ),
    ]
    delete_retention_ms: Annotated[
        int,
        About(
            "How long compaction keeps a key's tombstone (a record without value), in milliseconds.",
            minimum=0,
            example="86400000",
            inherited=_server("log_cleaner_delete_retention_ms"),
        ),
    ]
    min_cleanable_dirty_ratio: Annotated[
        float,
        About(
            "Share of a log that has to be new since its last compaction before it is compacted again.",
            minimum=0,
            maximum=1,
            example="0.5",
            inherited=_server("log_cleaner_min_cleanable_ratio"),
        ),
    ]
    min_compaction_lag_ms: Annotated[
        int,
        About(
            "Age in milliseconds below which a record is not compacted away.",
            minimum=0,
            example="60000",
            inherited=_server("log_cleaner_min_compaction_lag_ms"),
        ),
    ]
    max_compaction_lag_ms: Annotated[
        int,
        About(
            "Age in milliseconds at which records are compacted even if little of the log is new; at least "
            "min.compaction.lag.ms. Only sealed segments are compacted: it limits segment.ms, too.",
            minimum=1,
            example="86400000",
            inherited=_server("log_cleaner_max_compaction_lag_ms"),
        ),
    ]

    @staticmethod
    def resolve(server: ServerSettings, overrides: Mapping[str, str]) -> TopicSettings:
        """The settings of a topic with these overrides (dotted name to text) on a server with these settings.

        Raises SettingsError naming the first override that is unknown or has a wrong value.
        """
        own = check_topic_overrides(overrides)
        values = {
            definition.attribute: own[name] if name in own else topic_default(definition, server)
            for name, definition in _IN_FORCE.items()
        }
        return TopicSettings(**values)  # type: ignore[arg-type]  # each value comes from that attribute's definition

    def check(self) -> None:
        """Raises SettingsError where settings contradict each other."""
        least, most = self.min_compaction_lag_ms, self.max_compaction_lag_ms
        if least > most:
            name = "max.compaction.lag.ms"
            raise SettingsError(name, f"{name}={most} can't be less than min.compaction.lag.ms={least}")
        if self.compression_gzip_level == 0:
            name = "compression.gzip.level"
            raise SettingsError(name, f"{name} can't be 0; it has to be from 1 to 9, or -1 for the default")

    @property
    def deletes(self) -> bool:
        """True if retention.ms and retention.bytes apply."""
        return "delete" in self.cleanup_policy

    @property
    def compacts(self) -> bool:
        """True if the log is compacted by key."""
        return "compact" in self.cleanup_policy


_IN_FORCE: Final = definitions_of(TopicSettings)
TOPIC_DEFINITIONS: Final[dict[str, Definition]] = _IN_FORCE | IDLE_TOPIC_DEFINITIONS
"""Every topic setting by dotted name."""


class TopicSettingRow(NamedTuple):
    """One setting of a topic, as texts, the way a person is shown it."""

    name: str
    value: str
    default_value: str
    overridden: bool
    documentation: str


def check_topic_overrides(overrides: Mapping[str, str]) -> dict[str, Value]:
    """Reads overrides (dotted name to text) and returns their typed values.

    Raises SettingsError for the first unknown name (with the nearest one) or wrong value (with type, bounds, example).
    """
    return {name: parse_value(topic_definition(name), text) for name, text in overrides.items()}


def topic_definition(name: str) -> Definition:
    """The topic setting of that name. Raises SettingsError with the nearest name if there is none."""
    definition = TOPIC_DEFINITIONS.get(name)
    if definition is None:
        raise _unknown_topic_setting(name)
    return definition


def topic_default(definition: Definition, server: ServerSettings) -> Value:
    """What a topic setting is where the topic doesn't say: the server's value."""
    inherited = definition.about.inherited
    return definition.default if inherited is None else inherited.resolve(server)


def topic_setting_rows(server: ServerSettings, overrides: Mapping[str, str]) -> list[TopicSettingRow]:
    """Every setting of a topic with these overrides, in the order of their definitions."""
    rows = []
    for name, definition in TOPIC_DEFINITIONS.items():
        default_value = format_value(topic_default(definition, server))
        value = format_value(parse_value(definition, overrides[name])) if name in overrides else default_value
        rows.append(TopicSettingRow(name, value, default_value, name in overrides, definition.about.documentation))
    return rows


def server_names_of(definition: Definition) -> list[str]:
    """Dotted names of the server settings from which a topic setting takes its default, in order of precedence."""
    inherited = definition.about.inherited
    return [] if inherited is None else [attribute.replace("_", ".") for attribute, _ in inherited.attributes]


def _unknown_topic_setting(name: str) -> SettingsError:
    hint = None
    if name in SERVER_DEFINITIONS:
        topic_names = [topic for topic, other in TOPIC_DEFINITIONS.items() if name in server_names_of(other)]
        hint = f"it is a setting of the server; the topic's is {topic_names[0]}." if topic_names else None
    return unknown_setting(name, TOPIC_DEFINITIONS, what="a setting of a topic", hint=hint)
