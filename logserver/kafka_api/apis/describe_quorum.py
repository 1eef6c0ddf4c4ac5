"""DescribeQuorum (key 55), versions 0 to 2.

Behavior: this node is the one voter of the metadata, and leads them: the high watermark and the log end offset are the
revision of the metadata store. It is asked for as partition 0 of __cluster_metadata and nothing else.

Version notes: 1 brought the times of the last fetch (KIP-836), 2 the nodes and error messages (KIP-853).

Source: KIP-595, KIP-836, KIP-853; Apache Kafka: `KafkaRaftClient.handleDescribeQuorumRequest`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.errors import ErrorCode
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.cluster import CLUSTER_METADATA
from logserver.kafka_api.codec import Struct


def _handle(call: Call, request: Struct) -> Response:
    asked = [(topic.topic_name, [part.partition_index for part in topic.partitions]) for topic in request.topics]
    if asked != [(CLUSTER_METADATA, [0])]:
        return {"error_message": "", "topics": [_unknown(name, numbers) for name, numbers in asked]}
    broker = call.services.broker
    now_ms = call.services.clock.now_ms()
    node_id = broker.node.node_id
    voter = {
        "replica_id": node_id,
        "log_end_offset": broker.metadata_revision,
        "last_fetch_timestamp": now_ms,
        "last_caught_up_timestamp": now_ms,
    }
    partition = {
        "partition_index": 0,
        "error_message": "",
        "leader_id": node_id,
        "leader_epoch": broker.leader_epoch,
        "high_watermark": broker.metadata_revision,
        "current_voters": (voter,),
    }
    listener = {"name": call.listener, "host": call.host, "port": call.port}
    return {
        "error_message": "",
        "topics": ({"topic_name": CLUSTER_METADATA, "partitions": (partition,)},),
        "nodes": ({"node_id": node_id, "listeners": (listener,)},),
    }


def _unknown(name: str, numbers: list[int]) -> dict[str, Any]:
    error = {
        "error_code": ErrorCode.unknown_topic_or_partition.value,
        "error_message": f"only partition 0 of {CLUSTER_METADATA} has a quorum",
    }
    return {"topic_name": name, "partitions": [{"partition_index": number} | error for number in numbers]}


API: Final = Api(55, "DescribeQuorum", 0, 2, handle=_handle)
