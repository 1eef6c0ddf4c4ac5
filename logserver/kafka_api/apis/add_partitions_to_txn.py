"""AddPartitionsToTxn (key 24), versions 0 to 5.

Behavior: adds partitions to a producer's transaction, and begins one if there is none, before the producer writes to
them. All or none: when one of them does not exist the others are OPERATION_NOT_ATTEMPTED. While the transaction before
is being ended the request waits for that up to a second, then it is CONCURRENT_TRANSACTIONS. Clients that know
transaction version 2 do not send this: writing to a partition adds it.

Version notes: 2 brought PRODUCER_FENCED, 4 several transactions at once and asking without adding, which only brokers
send each other, 5 TRANSACTION_ABORTABLE (KIP-890).

Source: KIP-98, KIP-890; Apache Kafka: `KafkaApis.handleAddPartitionsToTxnRequest`.

Not done: nothing.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from logserver.broker.peers import Place
from logserver.coordinator.transactions.requests import EPOCH_BUMP
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.transactions import code_of, places_of, results

_FENCED: Final = 2
_SEVERAL: Final = 4


async def _handle(call: Call, request: Struct) -> Response:
    if call.version < _SEVERAL:
        topics = request.v3_and_below_topics
        codes = await _codes(
            call,
            request.v3_and_below_transactional_id,
            request.v3_and_below_producer_id,
            request.v3_and_below_producer_epoch,
            places_of(topics),
            verify_only=False,
        )
        return {"results_by_topic_v3_and_below": results(topics, codes)}
    answers: list[dict[str, Any]] = []
    for one in request.transactions:
        codes = await _codes(
            call,
            one.transactional_id,
            one.producer_id,
            one.producer_epoch,
            places_of(one.topics),
            verify_only=one.verify_only,
        )
        answers.append({"transactional_id": one.transactional_id, "topic_results": results(one.topics, codes)})
    return {"results_by_transaction": answers}


async def _codes(
    call: Call, transactional_id: str, producer_id: int, epoch: int, places: Collection[Place], *, verify_only: bool
) -> Mapping[Place, int]:
    missing = {place for place in places if not _exists(call, place)}
    if missing:
        unknown, others = ErrorCode.unknown_topic_or_partition.value, ErrorCode.operation_not_attempted.value
        return {place: unknown if place in missing else others for place in places}
    transactions = call.services.transactions
    knows_fenced = call.version >= _FENCED
    try:
        if verify_only:
            errors = await transactions.verify(transactional_id, producer_id, epoch, places)
            return {place: code_of(errors[place], knows_fenced=knows_fenced) for place in places}
        transaction_version = EPOCH_BUMP if call.version >= _SEVERAL else 0
        await transactions.add_partitions(transactional_id, producer_id, epoch, places, transaction_version)
    except LogServerError as error:
        return dict.fromkeys(places, code_of(error, knows_fenced=knows_fenced))
    return dict.fromkeys(places, 0)


def _exists(call: Call, place: Place) -> bool:
    topic = call.services.broker.find_topic(place[0])
    return topic is not None and 0 <= place[1] < len(topic.partitions)


def _failed(request: Struct, code: int, message: str) -> Response:
    topics = request.v3_and_below_topics
    return {
        "error_code": code,
        "results_by_topic_v3_and_below": results(topics, dict.fromkeys(places_of(topics), code)),
    }


API: Final = Api(24, "AddPartitionsToTxn", 0, 5, handle=_handle, failed=_failed)
