"""DescribeCluster (key 60), versions 0 to 2.

Behavior: names the cluster, this node as its one broker and its controller, and what the client may do.

Version notes: 1 tells brokers and controllers apart (KIP-919): this is an endpoint of brokers. 2 can ask for fenced
brokers, of which there are none (KIP-1073).

Source: KIP-700, KIP-919, KIP-1073; Apache Kafka: `AuthHelper.computeDescribeClusterResponse`.

Not done: nothing.
"""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.cluster import CLUSTER_OPERATIONS, NOT_ASKED, this_broker
from logserver.kafka_api.codec import Struct

_BROKERS: Final = 1
_CONTROLLERS: Final = 2


def _handle(call: Call, request: Struct) -> Response:
    kind = request.endpoint_type
    if kind == _CONTROLLERS:
        raise LogServerError(
            ErrorCode.mismatched_endpoint_type, "this is an endpoint of brokers; a client of controllers asked"
        )
    if kind != _BROKERS:
        raise LogServerError(ErrorCode.unsupported_endpoint_type, f"there is no endpoint type {kind}")
    node = call.services.broker.node
    asked = request.include_cluster_authorized_operations
    return {
        "cluster_id": node.cluster_id,
        "controller_id": node.node_id,
        "brokers": (this_broker(call, "broker_id"),),
        "cluster_authorized_operations": CLUSTER_OPERATIONS if asked else NOT_ASKED,
    }


API: Final = Api(60, "DescribeCluster", 0, 2, handle=_handle)
