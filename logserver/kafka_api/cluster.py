"""What clients are told of the cluster: its one broker, and what they may do."""

from typing import Any, Final

from logserver.kafka_api.api import Call

CLUSTER_OPERATIONS: Final = 8096
"""Create, alter, describe, cluster action, describe and alter configs, idempotent write: everything, for there is no
authorizer; as bits by Kafka's AclOperation codes."""
TOPIC_OPERATIONS: Final = 3576
"""Read, write, create, delete, alter, describe, describe and alter configs; as bits by Kafka's AclOperation codes."""
GROUP_OPERATIONS: Final = 3400
"""Read, delete, describe, describe and alter configs; as bits by Kafka's AclOperation codes."""
CLUSTER_METADATA: Final = "__cluster_metadata"
"""Kafka's topic of a cluster's metadata, which is no topic to clients."""
NOT_ASKED: Final = -(2**31)
"""In place of operations that the client has not asked for."""


def this_broker(call: Call, id_field: str = "node_id") -> dict[str, Any]:
    """Returns this node by the address of the listener that the client came through.

    Args:
        id_field: what the schema calls the node's id.
    """
    return {id_field: call.services.broker.node.node_id, "host": call.host, "port": call.port, "rack": None}
