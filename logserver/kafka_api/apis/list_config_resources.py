"""ListConfigResources (key 74), versions 0 to 1.

Behavior: names what has settings: all topics, this broker and its loggers, groups and subscriptions to clients' metrics
that have settings of their own. Version 0, once ListClientMetricsResources, knows only the last.

Version notes: 1 can be asked for types, no type is all (KIP-1142).

Source: KIP-714, KIP-1142; Apache Kafka: `KafkaApis.handleListConfigResources`.

Not done: nothing.
"""

from collections.abc import Iterable
from typing import Final

from logserver.broker import Broker
from logserver.broker.configs import ConfigKind
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.config_resources import ResourceType


def _handle(call: Call, request: Struct) -> Response:
    asked = set(request.resource_types) if call.version > 0 else {ResourceType.CLIENT_METRICS.value}
    unknown = asked.difference(ResourceType)
    if unknown:
        raise LogServerError(ErrorCode.unsupported_version, f"there are no settings of the type {min(unknown)}")
    broker = call.services.broker
    return {
        "config_resources": [
            {"resource_name": name, "resource_type": kind.value}
            for kind in ResourceType
            if not asked or kind in asked
            for name in _names(broker, kind)
        ]
    }


def _names(broker: Broker, kind: ResourceType) -> Iterable[str]:
    match kind:
        case ResourceType.TOPIC:
            return (topic.name for topic in broker.topics())
        case ResourceType.BROKER | ResourceType.BROKER_LOGGER:
            return (str(broker.node.node_id),)
        case ResourceType.GROUP:
            return broker.configs.names(ConfigKind.GROUP)
        case ResourceType.CLIENT_METRICS:
            return broker.configs.names(ConfigKind.CLIENT_METRICS)


API: Final = Api(74, "ListConfigResources", 0, 1, handle=_handle)
