"""The server's settings in force, as texts, the way a person is shown them."""

from __future__ import annotations

from typing import NamedTuple

from logserver.settings.server import SERVER_DEFINITIONS, ServerSettings, Source
from logserver.settings.values import format_value


class SettingRow(NamedTuple):
    """One setting of the server; an unset one has the empty text as its value."""

    name: str
    value: str
    default_value: str
    source: Source
    documentation: str


def server_setting_rows(settings: ServerSettings) -> list[SettingRow]:
    """Every setting of the server, in the order of their definitions."""
    return [
        SettingRow(
            name,
            format_value(getattr(settings, definition.attribute)),
            format_value(definition.default),
            settings.source_of(name),
            definition.about.documentation,
        )
        for name, definition in SERVER_DEFINITIONS.items()
    ]
