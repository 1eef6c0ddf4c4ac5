"""Settings of the server and of topics: Kafka's names and defaults, typed and frozen."""

from logserver.settings.addresses import Address, parse_address
from logserver.settings.definition import Definition, Value
from logserver.settings.limits import FileLimits, file_limits, system_map_count, system_open_files
from logserver.settings.load import environment_name, load_settings, server_definition
from logserver.settings.rows import SettingRow, server_setting_rows
from logserver.settings.server import (
    SERVER_DEFINITIONS,
    CleanupPolicy,
    LogFormat,
    LogLevel,
    ServerSettings,
    Source,
    TimestampType,
)
from logserver.settings.topic import (
    TOPIC_DEFINITIONS,
    TopicSettingRow,
    TopicSettings,
    check_topic_overrides,
    topic_definition,
    topic_setting_rows,
)
from logserver.settings.values import SettingsError, format_value, parse_value

__all__ = [
    "SERVER_DEFINITIONS",
    "TOPIC_DEFINITIONS",
    "Address",
    "CleanupPolicy",
    "Definition",
    "FileLimits",
    "LogFormat",
    "LogLevel",
    "ServerSettings",
    "SettingRow",
    "SettingsError",
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
    "parse_address",
    "parse_value",
    "server_definition",
    "server_setting_rows",
    "system_map_count",
    "system_open_files",
    "topic_definition",
    "topic_setting_rows",
]
