"""Which of the server's settings can be changed while it runs."""

from collections.abc import Mapping
from typing import Final

import msgspec
from logserver_segments.logs import get_logger

from logserver.settings import (
    SERVER_DEFINITIONS,
    TOPIC_DEFINITIONS,
    ServerSettings,
    SettingsError,
    parse_value,
    server_names_of,
)

_log = get_logger("logserver.broker")

_NOT_IN_KAFKA: Final = frozenset(("log.retention.minutes", "log.retention.hours", "log.roll.hours"))
_MORE: Final = ("max.connections", "producer.id.expiration.ms")

DYNAMIC_SETTINGS: Final = frozenset(
    (*_MORE, *(name for definition in TOPIC_DEFINITIONS.values() for name in server_names_of(definition)))
).difference(_NOT_IN_KAFKA)
"""Dotted names of the server settings that take effect at run time: what topics take their defaults from, and a few
more (Apache Kafka: `DynamicBrokerConfig`, where the three coarse ones of retention and rolling are fixed, too)."""


def with_dynamic(base: ServerSettings, *layers: Mapping[str, str]) -> ServerSettings:
    """Returns settings with overrides, later layers above earlier ones.

    What this version does not know, or can't read, is left out: another version may have stored it.
    """
    values = {}
    sources = dict(base.sources)
    for name, text in {name: text for layer in layers for name, text in layer.items()}.items():
        try:
            definition = SERVER_DEFINITIONS[name]
            values[definition.attribute] = parse_value(definition, text)
        except (KeyError, SettingsError) as error:
            _log.warning("a setting that was stored is left out", setting=name, reason=str(error))
            continue
        sources[name] = "metadata store"
    return msgspec.structs.replace(base, **values, sources=sources)
