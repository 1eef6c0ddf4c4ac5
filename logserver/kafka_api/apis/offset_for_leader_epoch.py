"""OffsetForLeaderEpoch (key 23), versions 2 to 4.

Behavior: answers for each partition where a leader epoch ended, so that a client finds out what of the records that it
has seen was taken back. An epoch that is later than the partition's is undefined (-1 and -1); one from before all
records ended at the first one's offset. The client's own idea of the current epoch is checked first.

Version notes: 2 brought the current leader epoch (KIP-320), 3 the replica id, 4 tagged fields.

Source: KIP-101, KIP-279, KIP-320; Apache Kafka: `ReplicaManager.lastOffsetForLeaderEpoch`, `LeaderEpochFileCache`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.broker import Broker
from logserver.errors import LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.epochs import UNDEFINED_EPOCH, UNDEFINED_OFFSET, end_of_epoch, known_epoch


def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    return {
        "topics": [
            {"topic": topic.topic, "partitions": [_partition(broker, topic.topic, asked) for asked in topic.partitions]}
            for topic in request.topics
        ]
    }


def _partition(broker: Broker, topic: str, asked: Struct) -> dict[str, Any]:
    try:
        partition = broker.partition(topic, asked.partition)
        partition.check_epoch(known_epoch(asked.current_leader_epoch))
        epoch, end_offset = end_of_epoch(partition, asked.leader_epoch)
    except LogServerError as error:
        return _failed_partition(asked, error.code.value)
    return {"error_code": 0, "partition": asked.partition, "leader_epoch": epoch, "end_offset": end_offset}


def _failed_partition(asked: Struct, code: int) -> dict[str, Any]:
    return {
        "error_code": code,
        "partition": asked.partition,
        "leader_epoch": UNDEFINED_EPOCH,
        "end_offset": UNDEFINED_OFFSET,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "topics": [
            {"topic": topic.topic, "partitions": [_failed_partition(asked, code) for asked in topic.partitions]}
            for topic in request.topics
        ]
    }


API: Final = Api(23, "OffsetForLeaderEpoch", 2, 4, handle=_handle, failed=_failed)
