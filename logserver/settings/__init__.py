"""Settings of the server and of topics: Kafka's names and defaults, typed and frozen."""

from logserver.settings.addresses import Address, parse_address
from logserver.settings.client_metrics import CLIENT_METRICS_DEFINITIONS, ClientMetricsSettings, match_patterns
from logserver.settings.definition import INT32_MAX, Definition, Value
from logserver.settings.group import GROUP_DEFINITIONS, GroupSettings
from logserver.settings.limits import FileLimits, file_limits, system_map_count, system_open_files
from logserver.settings.load import environment_name, load_settings, server_definition
from logserver.settings.rows import SettingRow, server_setting_rows
from logserver.settings.server import (
    SERVER_DEFINITIONS,
    CleanupPolicy,
    LogFormat,
    LogLevel,
    MigrationPolicy,
    ServerSettings,
    Source,
    TimestampType,
)
from logserver.settings.share_reset import ShareReset, parse_share_reset
from logserver.settings.topic import (
    TOPIC_DEFINITIONS,
    TopicSettingRow,
    TopicSettings,
    check_topic_overrides,
    server_names_of,
    topic_default,
    topic_definition,
    topic_setting_rows,
)
from logserver.settings.values import SettingsError, format_value, parse_value, unknown_setting

__all__ = [
    "CLIENT_METRICS_DEFINITIONS",
    "GROUP_DEFINITIONS",
    "INT32_MAX",
    "SERVER_DEFINITIONS",
    "TOPIC_DEFINITIONS",
    "Address",
    "CleanupPolicy",
    "ClientMetricsSettings",
    "Definition",
    "FileLimits",
    "GroupSettings",
    "LogFormat",
    "LogLevel",
    "MigrationPolicy",
    "ServerSettings",
    "SettingRow",
    "SettingsError",
    "ShareReset",
    "Source",
    "TimestampType",
    "TopicSettingRow",
    "TopicSettings",
    "Value",
    "check_topic_overrides",
    "environment_name",
    "file_limits",
    "format_value",
    "load_settings",
    "match_patterns",
    "parse_address",
    "parse_share_reset",
    "parse_value",
    "server_definition",
    "server_names_of",
    "server_setting_rows",
    "system_map_count",
    "system_open_files",
    "topic_default",
    "topic_definition",
    "topic_setting_rows",
    "unknown_setting",
]
