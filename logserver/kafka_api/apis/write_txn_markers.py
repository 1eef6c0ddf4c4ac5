"""WriteTxnMarkers (key 27), versions 1 and 2.

Behavior: ends a producer's transaction in some partitions, whatever its coordinator says: what `kafka-transactions.sh
abort` sends to get rid of a hanging one. Answered when that is durable.

Version notes: 2 tells the transaction version (KIP-1228).

Source: KIP-98, KIP-664; Apache Kafka: `KafkaApis.handleWriteTxnMarkersRequest`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.broker.peers import TransactionMarker
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


async def _handle(call: Call, request: Struct) -> Response:
    answers = []
    for one in request.markers:
        marker = TransactionMarker(
            one.producer_id,
            one.producer_epoch,
            one.transaction_result,
            one.coordinator_epoch,
            one.transaction_version or 0,
        )
        places = {(topic.name, number) for topic in one.topics for number in topic.partition_indexes}
        errors = await call.services.peers.write_markers(marker, places)
        codes = {place: error.code.value if error is not None else 0 for place, error in errors.items()}
        answers.append({"producer_id": one.producer_id, "topics": [_topic(topic, codes) for topic in one.topics]})
    return {"markers": answers}


def _topic(topic: Struct, codes: dict[tuple[str, int], int]) -> dict[str, Any]:
    return {
        "name": topic.name,
        "partitions": [
            {"partition_index": number, "error_code": codes[topic.name, number]} for number in topic.partition_indexes
        ],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "markers": [
            {
                "producer_id": one.producer_id,
                "topics": [
                    _topic(topic, {(topic.name, number): code for number in topic.partition_indexes})
                    for topic in one.topics
                ],
            }
            for one in request.markers
        ]
    }


API: Final = Api(27, "WriteTxnMarkers", 1, 2, handle=_handle, failed=_failed)
