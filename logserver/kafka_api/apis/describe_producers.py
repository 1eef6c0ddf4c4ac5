"""DescribeProducers (key 61), version 0.

Behavior: tells the idempotent producers that a partition remembers: their epoch, last sequence and time, and the first
offset of an open transaction.

Version notes: there is one version.

Source: KIP-664; Apache Kafka: `KafkaApis.handleDescribeProducersRequest`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.broker import Broker
from logserver.broker.topics import INTERNAL_TOPICS, check_name
from logserver.errors import LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.errors import error_fields


def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    asked: dict[str, dict[int, None]] = {}
    for topic in request.topics:
        # Once each: a partition with many producers that is named often would make an answer of any size.
        asked.setdefault(topic.name, {}).update(dict.fromkeys(topic.partition_indexes))
    return {
        "topics": [
            {"name": name, "partitions": [_partition(broker, name, number) for number in numbers]}
            for name, numbers in asked.items()
        ]
    }


def _partition(broker: Broker, topic: str, number: int) -> dict[str, Any]:
    try:
        if topic not in INTERNAL_TOPICS:
            check_name(topic)
        producers = broker.partition(topic, number).active_producers()
    except LogServerError as error:
        return {"partition_index": number, **error_fields(error)}
    return {
        "partition_index": number,
        "error_message": None,
        "active_producers": [
            {
                "producer_id": producer.producer_id,
                "producer_epoch": producer.epoch,
                "last_sequence": producer.last_sequence,
                "last_timestamp": producer.last_timestamp_ms,
                "coordinator_epoch": producer.coordinator_epoch,
                "current_txn_start_offset": producer.transaction_first_offset,
            }
            for producer in producers
        ],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    error = {"error_code": code, "error_message": message}
    return {
        "topics": [
            {
                "name": topic.name,
                "partitions": [{"partition_index": number} | error for number in topic.partition_indexes],
            }
            for topic in request.topics
        ]
    }


API: Final = Api(61, "DescribeProducers", 0, 0, handle=_handle, failed=_failed)
