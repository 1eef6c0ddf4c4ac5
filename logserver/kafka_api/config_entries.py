"""Settings as DescribeConfigs and CreateTopics tell them: the value in force, and every place that could give it."""

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from logserver.broker import Broker
from logserver.broker.configs import ConfigKind
from logserver.broker.dynamic_settings import DYNAMIC_SETTINGS
from logserver.settings import (
    INT32_MAX,
    SERVER_DEFINITIONS,
    TOPIC_DEFINITIONS,
    Definition,
    Value,
    format_value,
    server_names_of,
    topic_default,
)


class ConfigSource(IntEnum):
    """Where a value comes from (Apache Kafka: `DescribeConfigsResponse.ConfigSource`)."""

    TOPIC = 1
    BROKER = 2
    """Of one broker, at run time."""
    DEFAULT_BROKER = 3
    """Of all brokers, at run time."""
    STATIC = 4
    """File, environment or command line of the server."""
    DEFAULT = 5
    CLIENT_METRICS = 7
    GROUP = 8


_TYPES: Final = {"boolean": 1, "text": 2, "number": 6, "list": 7}
_INT: Final = 3
_LONG: Final = 5


class Layer(NamedTuple):
    """One place that gives a value."""

    name: str
    value: str
    source: ConfigSource


class ConfigEntry(NamedTuple):
    """One setting of something."""

    definition: Definition
    value: str | None
    read_only: bool
    layers: tuple[Layer, ...]
    """The one in force first."""

    @property
    def source(self) -> ConfigSource:
        return self.layers[0].source if self.layers else ConfigSource.DEFAULT

    def fields(self) -> dict[str, Any]:
        """Returns what both APIs tell of it."""
        return {
            "name": self.definition.name,
            "value": self.value,
            "read_only": self.read_only,
            "config_source": self.source.value,
        }

    @property
    def kafka_type(self) -> int:
        """Kafka's code of its type."""
        if self.definition.kind == "integer":
            most = self.definition.about.maximum
            return _INT if most is not None and most <= INT32_MAX else _LONG
        return _TYPES[self.definition.kind]


def topic_entries(broker: Broker, overrides: Mapping[str, str]) -> list[ConfigEntry]:
    """Returns all settings of a topic that has these of its own, by name."""
    return _entries(broker, TOPIC_DEFINITIONS, overrides, ConfigSource.TOPIC)


def own_entries(
    broker: Broker, kind: ConfigKind, definitions: Mapping[str, Definition], name: str, source: ConfigSource
) -> list[ConfigEntry]:
    """Returns all settings of a group, or of a subscription to metrics, by name."""
    return _entries(broker, definitions, broker.configs.get(kind, name), source)


class SharedEntries:
    """Descriptions of settings in one response: things with the same settings of their own share theirs, so those of
    ten thousand topics take as much memory as those of one.

    Args:
        describe: makes the fields of a setting in the response.
    """

    def __init__(self, describe: Callable[[ConfigEntry], dict[str, Any]]) -> None:
        self._describe = describe
        self._known: dict[tuple[object, ...], list[dict[str, Any]]] = {}

    def of(
        self, kind: object, settings: Mapping[str, str], entries: Callable[[], Iterable[ConfigEntry]]
    ) -> list[dict[str, Any]]:
        """Returns the descriptions for things of a kind with these settings, which `entries` makes if need be."""
        key = (kind, *sorted(settings.items()))
        if key not in self._known:
            self._known[key] = [self._describe(entry) for entry in entries()]
        return self._known[key]


def _entries(
    broker: Broker, definitions: Mapping[str, Definition], overrides: Mapping[str, str], source: ConfigSource
) -> list[ConfigEntry]:
    entries = []
    for name, definition in sorted(definitions.items()):
        layers = server_layers(broker, server_names_of(definition))
        value = _shown(topic_default(definition, broker.settings))
        if name in overrides:
            value = overrides[name]
            layers = (Layer(name, value, source), *layers)
        entries.append(ConfigEntry(definition, value, False, layers))
    return entries


def _shown(value: Value) -> str | None:
    return None if value is None else format_value(value)


def broker_entries(broker: Broker) -> list[ConfigEntry]:
    """Returns all settings of the server, by name."""
    return [
        ConfigEntry(
            definition,
            _shown(getattr(broker.settings, definition.attribute)),
            name not in DYNAMIC_SETTINGS,
            server_layers(broker, (name,)),
        )
        for name, definition in sorted(SERVER_DEFINITIONS.items())
    ]


def default_broker_entries(broker: Broker) -> list[ConfigEntry]:
    """Returns the settings that all brokers have been given at run time, by name."""
    return [
        ConfigEntry(SERVER_DEFINITIONS[name], text, False, (Layer(name, text, ConfigSource.DEFAULT_BROKER),))
        for name, text in sorted(broker.configs.get(ConfigKind.BROKER, "").items())
        if name in SERVER_DEFINITIONS
    ]


def server_layers(broker: Broker, names: Iterable[str]) -> tuple[Layer, ...]:
    """Returns what gives values to server settings, those of earlier names first."""
    base = broker.configs.base
    own = broker.configs.get(ConfigKind.BROKER, str(broker.node.node_id))
    everybody = broker.configs.get(ConfigKind.BROKER, "")
    layers = []
    for name in names:
        definition = SERVER_DEFINITIONS[name]
        if name in own:
            layers.append(Layer(name, own[name], ConfigSource.BROKER))
        if name in everybody:
            layers.append(Layer(name, everybody[name], ConfigSource.DEFAULT_BROKER))
        if base.source_of(name) != "default":
            layers.append(Layer(name, format_value(getattr(base, definition.attribute)), ConfigSource.STATIC))
        if definition.default is not None:
            layers.append(Layer(name, format_value(definition.default), ConfigSource.DEFAULT))
    return tuple(layers)
