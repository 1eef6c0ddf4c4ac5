"""Keys of the admin APIs, and short ways to ask them."""

from typing import Any, Final

from logserver.kafka_api.codec import Struct

from .raw_client import CREATE_TOPICS, RawClient

DESCRIBE_CONFIGS: Final = 32
ALTER_CONFIGS: Final = 33
ALTER_REPLICA_LOG_DIRS: Final = 34
DESCRIBE_LOG_DIRS: Final = 35
CREATE_PARTITIONS: Final = 37
ELECT_LEADERS: Final = 43
INCREMENTAL_ALTER_CONFIGS: Final = 44
ALTER_PARTITION_REASSIGNMENTS: Final = 45
LIST_PARTITION_REASSIGNMENTS: Final = 46
DESCRIBE_QUORUM: Final = 55
UPDATE_FEATURES: Final = 57
DESCRIBE_CLUSTER: Final = 60
DESCRIBE_PRODUCERS: Final = 61
UNREGISTER_BROKER: Final = 64
GET_TELEMETRY_SUBSCRIPTIONS: Final = 71
PUSH_TELEMETRY: Final = 72
LIST_CONFIG_RESOURCES: Final = 74
DESCRIBE_TOPIC_PARTITIONS: Final = 75

TOPIC: Final = 2
BROKER: Final = 4
BROKER_LOGGER: Final = 8
CLIENT_METRICS: Final = 16
GROUP: Final = 32

SET: Final = 0
DELETE: Final = 1
APPEND: Final = 2
SUBTRACT: Final = 3

TIMEOUT: Final = {"timeout_ms": 30_000}


def create(client: RawClient, *topics: dict[str, Any], version: int = 7, validate_only: bool = False) -> list[Struct]:
    """Creates topics of one partition unless they say otherwise; returns the results."""
    asked = [{"num_partitions": 1, "replication_factor": 1} | topic for topic in topics]
    results: list[Struct] = client.call(
        CREATE_TOPICS, version, {"topics": asked, "validate_only": validate_only, **TIMEOUT}
    ).topics
    return results


def describe(client: RawClient, kind: int, name: str, *names: str, version: int = 4, **more: Any) -> Struct:
    """Describes settings of one resource."""
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": names or None}
    result: Struct = client.call(DESCRIBE_CONFIGS, version, {"resources": [resource], **more}).results[0]
    return result


def values(client: RawClient, kind: int, name: str, *names: str) -> dict[str, tuple[str | None, int]]:
    """Returns values and their sources by the names of the settings."""
    result = describe(client, kind, name, *names)
    assert result.error_code == 0, result
    return {config.name: (config.value, config.config_source) for config in result.configs}


def alter(
    client: RawClient,
    kind: int,
    name: str,
    *operations: tuple[str, int, str | None],
    version: int = 1,
    validate_only: bool = False,
) -> Struct:
    """Changes settings of one resource by (name, operation, value)."""
    configs = [{"name": name, "config_operation": kind, "value": value} for name, kind, value in operations]
    resource = {"resource_type": kind, "resource_name": name, "configs": configs}
    result: Struct = client.call(
        INCREMENTAL_ALTER_CONFIGS, version, {"resources": [resource], "validate_only": validate_only}
    ).responses[0]
    return result
