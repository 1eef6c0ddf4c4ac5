"""Produce (key 0), versions 3 to 13.

Behavior: appends each partition's record batch as it is received, and answers at once with acks=1, when all is durable
with acks=all, and not at all with acks=0. A partition's error is its own; records that are refused one by one are named
(KIP-467). Batches that an idempotent producer sends again are answered with the offsets of the first time.

Version notes: 3 brought transactions and headers, 5 log_start_offset, 8 the errors of single records, 9 tagged fields,
10 the current leader beside NOT_LEADER_OR_FOLLOWER (KIP-951), 13 topic ids (KIP-516). ApiVersions advertises version 0,
as Apache Kafka does: librdkafka takes a broker without it for one of before 0.10 (KAFKA-18659).

Source: KIP-98, KIP-467, KIP-516, KIP-951; Apache Kafka: `KafkaApis.handleProduceRequest`.

Not done: transactions (an id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED only once there are any).
"""

from collections.abc import Callable, Sequence
from struct import Struct as Packed
from typing import Any, Final

from logserver_segments.partition_log import Appended

from logserver.broker import Broker, Partition
from logserver.broker.topics import INTERNAL_TOPICS
from logserver.errors import ErrorCode, LogServerError, unknown_topic
from logserver.kafka_api.api import Answer, Api, Call
from logserver.kafka_api.codec import write_response
from logserver.kafka_api.errors import leader_of
from logserver.kafka_api.produce_request import ProducePartition, read_produce

_ALL: Final = -1
_LEADER: Final = 1
_NONE: Final = 0
_RESULT: Final = Packed(">ihqqq")


class _Result:
    """The answer for one partition."""

    __slots__ = ("append_time_ms", "base_offset", "error", "log_start_offset", "partition")

    def __init__(self, partition: ProducePartition) -> None:
        self.partition = partition
        self.error: LogServerError | None = None
        self.base_offset = -1
        self.append_time_ms = -1
        self.log_start_offset = -1


class _Production:
    """The appends of one request, and what is still to come of their answers."""

    __slots__ = ("_acks", "_answer", "_call", "_results", "_waiting")

    def __init__(self, call: Call, answer: Answer, acks: int) -> None:
        self._call = call
        self._answer = answer
        self._acks = acks
        self._results: list[_Result] = []
        # One more than there are, so that nothing is answered before all have been appended.
        self._waiting = 1

    def append(self, items: Sequence[ProducePartition]) -> None:
        """Appends everything, and answers when that is due."""
        broker = self._call.services.broker
        for item in items:
            result = _Result(item)
            self._results.append(result)
            try:
                if self._acks not in (_ALL, _LEADER, _NONE):
                    raise LogServerError(
                        ErrorCode.invalid_required_acks, f"acks={self._acks} is not known; it is 0, 1 or -1 (all)"
                    )
                partition = _partition(broker, item)
                appended = partition.append(item.records)
            except LogServerError as error:
                result.error = error
                continue
            result.log_start_offset = partition.log_start_offset
            if self._acks == _ALL:
                self._waiting += 1
                partition.when_committed(appended.last_offset, self._committed(result, appended))
            else:
                _fill(result, appended)
        self._one_done()

    def _committed(self, result: _Result, appended: Appended) -> Callable[[LogServerError | None], None]:
        def committed(error: LogServerError | None) -> None:
            if error is None:
                _fill(result, appended)
            else:
                result.error = error
            self._one_done()

        return committed

    def _one_done(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._answer(None if self._acks == _NONE else (_response(self._call, self._results),))


def _partition(broker: Broker, item: ProducePartition) -> Partition:
    topic = broker.find_topic_by_id(item.topic_id) if item.topic_id is not None else broker.find_topic(item.topic)
    if topic is None:
        if item.topic_id is not None:
            raise LogServerError(ErrorCode.unknown_topic_id, f"there is no topic with the id {item.topic_id}")
        raise unknown_topic(item.topic)
    if topic.name in INTERNAL_TOPICS:
        raise LogServerError(
            ErrorCode.invalid_topic_exception, f"only the server itself writes to its topic {topic.name!r}"
        )
    return broker.partition(topic.name, item.number)


def _fill(result: _Result, appended: Appended) -> None:
    result.base_offset, result.append_time_ms = appended.base_offset, appended.append_time_ms


def _response(call: Call, results: Sequence[_Result]) -> bytes:
    by_topic: dict[tuple[str, str | None], list[_Result]] = {}
    for result in results:
        by_topic.setdefault((result.partition.topic, result.partition.topic_id), []).append(result)
    return write_response(
        call.api_key,
        call.version,
        {
            "responses": [
                {"name": topic, "topic_id": topic_id, "partition_responses": [_partition_response(r) for r in found]}
                for (topic, topic_id), found in by_topic.items()
            ]
        },
    )


def _partition_response(result: _Result) -> dict[str, Any]:
    response: dict[str, Any] = {
        "index": result.partition.number,
        "base_offset": result.base_offset,
        "log_append_time_ms": result.append_time_ms,
        "log_start_offset": result.log_start_offset,
    }
    error = result.error
    if error is not None:
        response.update(error_code=error.code.value, base_offset=-1, error_message=error.message)
        response.update(leader_of(error))
    return response


def _handle(call: Call, body: memoryview, answer: Answer) -> None:
    request = read_produce(body, call.version)
    _Production(call, answer, request.acks).append(request.partitions)


API: Final = Api(0, "Produce", 3, 13, raw=_handle, advertised_lowest=0)
