"""DescribeConfigs (key 32), versions 1 to 4.

Behavior: tells settings of topics, of this broker (those that can't be changed at run time as read-only), of all
brokers (the empty name: only what they have been given at run time), of groups, of subscriptions to clients' metrics,
and the levels of the server's loggers; with the places that could have given each value, and its meaning, if asked for.
Groups and subscriptions that have no settings of their own are told their defaults. No setting is a secret so far, so
none is kept back as sensitive. A resource that is named twice is described once.

Version notes: 1 brought synonyms (KIP-226), 3 types and documentation (KIP-569), 4 is the first flexible one.

Source: KIP-133, KIP-226, KIP-569, KIP-714, KIP-848; Apache Kafka: `ConfigHelper`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.broker import Broker
from logserver.broker.configs import ConfigKind
from logserver.broker.topics import INTERNAL_TOPICS, check_name
from logserver.errors import LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.config_entries import (
    ConfigEntry,
    ConfigSource,
    SharedEntries,
    broker_entries,
    default_broker_entries,
    own_entries,
    topic_entries,
)
from logserver.kafka_api.config_resources import (
    ResourceType,
    check_node,
    need_name,
    unknown_type,
)
from logserver.kafka_api.errors import error_fields
from logserver.kafka_api.in_turns import in_turns
from logserver.kafka_api.loggers import LOGGER_SOURCE, logger_levels
from logserver.settings import CLIENT_METRICS_DEFINITIONS, GROUP_DEFINITIONS

_OWN: Final = {
    ConfigKind.GROUP: (GROUP_DEFINITIONS, ConfigSource.GROUP),
    ConfigKind.CLIENT_METRICS: (CLIENT_METRICS_DEFINITIONS, ConfigSource.CLIENT_METRICS),
}


async def _handle(call: Call, request: Struct) -> Response:
    entries = SharedEntries(lambda entry: _fields(entry, request))
    # Once each: some bytes of a question make kilobytes of an answer.
    asked = {
        (resource.resource_type, resource.resource_name, *(resource.configuration_keys or ())): resource
        for resource in request.resources
    }
    return {
        "results": [_describe(call.services.broker, resource, entries) async for resource in in_turns(asked.values())]
    }


def _describe(broker: Broker, resource: Struct, entries: SharedEntries) -> dict[str, Any]:
    result = {"resource_type": resource.resource_type, "resource_name": resource.resource_name}
    # Not only null, also an empty list asks for everything.
    wanted = set(resource.configuration_keys or ())
    try:
        configs = _configs(broker, resource, entries)
    except LogServerError as error:
        return result | error_fields(error)
    shown = [config for config in configs if not wanted or config["name"] in wanted]
    return result | {"error_message": "", "configs": shown}


def _configs(broker: Broker, resource: Struct, entries: SharedEntries) -> list[dict[str, Any]]:
    name = resource.resource_name
    match resource.resource_type:
        case ResourceType.TOPIC:
            if name not in INTERNAL_TOPICS:
                check_name(name)
            settings = broker.topic(name).record.settings
            return entries.of(ResourceType.TOPIC, settings, lambda: topic_entries(broker, settings))
        case ResourceType.BROKER if not name:
            return entries.of("all brokers", {}, lambda: default_broker_entries(broker))
        case ResourceType.BROKER:
            check_node(broker, name)
            return entries.of(ResourceType.BROKER, {}, lambda: broker_entries(broker))
        case ResourceType.BROKER_LOGGER:
            need_name(name, "the id of a broker")
            check_node(broker, name)
            return [{"name": name, "value": level, "config_source": LOGGER_SOURCE} for name, level in logger_levels()]
        case ResourceType.GROUP:
            need_name(name, "a group")
            return _own(broker, ConfigKind.GROUP, name, entries)
        case ResourceType.CLIENT_METRICS:
            need_name(name, "a subscription")
            return _own(broker, ConfigKind.CLIENT_METRICS, name, entries)
        case other:
            raise unknown_type(other)


def _own(broker: Broker, kind: ConfigKind, name: str, entries: SharedEntries) -> list[dict[str, Any]]:
    definitions, source = _OWN[kind]
    settings = broker.configs.get(kind, name)
    return entries.of(kind, settings, lambda: own_entries(broker, kind, definitions, name, source))


def _fields(entry: ConfigEntry, request: Struct) -> dict[str, Any]:
    layers = entry.layers if request.include_synonyms else ()
    synonyms = [{"name": layer.name, "value": layer.value, "source": layer.source.value} for layer in layers]
    documentation = entry.definition.about.documentation if request.include_documentation else None
    more = {"synonyms": synonyms, "config_type": entry.kafka_type, "documentation": documentation}
    return entry.fields() | more


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "results": [
            {
                "error_code": code,
                "error_message": message,
                "resource_type": resource.resource_type,
                "resource_name": resource.resource_name,
            }
            for resource in request.resources
        ]
    }


API: Final = Api(32, "DescribeConfigs", 1, 4, handle=_handle, failed=_failed)
