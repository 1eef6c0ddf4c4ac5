"""What has settings, as the APIs of settings name it."""

from collections.abc import Sequence
from enum import IntEnum

from logserver.broker import Broker
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.codec import Struct


class ResourceType(IntEnum):
    """Kafka's codes (`ConfigResource.Type`)."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


def unknown_type(code: int) -> LogServerError:
    """Returns the error for a type that has no settings."""
    return LogServerError(ErrorCode.invalid_request, f"there are no settings of the resource type {code}")


def need_name(name: str, what: str) -> None:
    """Refuses the empty name.

    Raises:
        LogServerError: INVALID_REQUEST.
    """
    if not name:
        raise LogServerError(ErrorCode.invalid_request, f"the name of the resource is empty; it has to be {what}")


def check_node(broker: Broker, name: str) -> None:
    """Checks that a name is this node's id.

    Raises:
        LogServerError: INVALID_REQUEST.
    """
    node_id = broker.node.node_id
    if name != str(node_id):
        raise LogServerError(ErrorCode.invalid_request, f"the id of this broker is {node_id}, not {name[:60]!r}")


def repeated(resources: Sequence[Struct]) -> set[tuple[int, str]]:
    """Returns type and name of what a request names more than once."""
    seen: set[tuple[int, str]] = set()
    again: set[tuple[int, str]] = set()
    for resource in resources:
        key = (resource.resource_type, resource.resource_name)
        (again if key in seen else seen).add(key)
    return again
