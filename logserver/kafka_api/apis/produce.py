"""Produce (key 0), versions 3 to 13.

Behavior: appends each partition's record batch as it is received, and answers at once with acks=1, when all is durable
with acks=all, and not at all with acks=0; where that fails, the connection is closed, as the only way to say so. A
partition's error is its own; records that are refused one by one are named, a thousand at most (KIP-467). Batches that
an idempotent producer sends again are answered with the offsets of the first time. What is not durable when timeout_ms
is over, a second at least, is answered with REQUEST_TIMED_OUT, and may become so later: only a disk that hangs is that
slow. Records that have to be decoded or compressed anew, because a setting of the topic says so, are so by another
thread if they are many; requests behind theirs on the connection wait for them.

Version notes: 3 brought transactions and headers, 5 log_start_offset, 7 zstd, 8 the errors of single records, 9 tagged
fields, 10 the current leader beside NOT_LEADER_OR_FOLLOWER (KIP-951), 13 topic ids (KIP-516). ApiVersions advertises
version 0, as Apache Kafka does: librdkafka takes a broker without it for one of before 0.10 (KAFKA-18659).

Source: KIP-98, KIP-467, KIP-516, KIP-951; Apache Kafka: `KafkaApis.handleProduceRequest`, `ReplicaManager`,
`DelayedProduce`, `LogValidator`.

Records of a transaction are taken where it has been begun by its coordinator (KIP-890); from version 12 on writing to a
partition adds it to the transaction. A transactional batch without a transactional id is refused
(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, for all of the request), one of no transaction is INVALID_TXN_STATE.

Not done: records are not decoded unless a setting of the topic is about each: their count and timestamps are
taken from the batch's header.
"""

import asyncio
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from logserver_segments.partition_log import Verification
from logserver_segments.preparation import Prepared

from logserver.broker import Broker, Partition
from logserver.broker.topics import INTERNAL_TOPICS, Topic
from logserver.coordinator.transactions.enlisting import Outcomes, is_transactional
from logserver.errors import ErrorCode, LogServerError, unknown_partition, unknown_topic
from logserver.kafka_api.api import Answer, Api, Call, Cancel, CloseConnection, RawHandler
from logserver.kafka_api.errors import without_trace
from logserver.kafka_api.produce_batch import one_batch
from logserver.kafka_api.produce_preparation import Find, Preparations, prepare_and_go_on
from logserver.kafka_api.produce_quick import quick
from logserver.kafka_api.produce_request import ProducePartition, ProduceRequest, read_produce
from logserver.kafka_api.produce_response import ProducedPartition, endpoint_of, timed_out, wait_ms_of, write_produce
from logserver.kafka_api.transactional_produce import produce_in_transaction

_ALL: Final = -1
_LEADER: Final = 1
_NONE: Final = 0
_SHOWN: Final = 300
"""So much of a name or a reason is logged: names that do not exist may be as long as a client likes."""
_NO_OUTCOMES: Final[Outcomes] = MappingProxyType({})


class _Result(ProducedPartition):
    """What becomes of the records for a partition; with acks=all, of which a report is due."""

    __slots__ = ("is_waiting", "production")

    def __init__(self, item: ProducePartition) -> None:
        super().__init__(item)
        self.production: _Production | None = None
        self.is_waiting = False

    def committed(self, error: LogServerError | None) -> None:
        """Takes the report that the records are durable, or won't be."""
        self.is_waiting = False
        if error is not None:
            self.error = error
            self.base_offset = self.append_time_ms = -1
        if self.production is not None:
            self.production.one_done()


class _Production:
    """What is still to come of the answers of a request."""

    __slots__ = ("_answer", "_call", "_is_answered", "_results", "_timer", "_waiting")

    def __init__(self, call: Call, answer: Answer, results: Sequence[_Result]) -> None:
        self._call = call
        self._answer = answer
        self._results = results
        self._timer: asyncio.TimerHandle | None = None
        self._is_answered = False
        self._waiting = 0

    def wait(self, timeout_ms: int) -> None:
        """Answers once everything that was stored is durable, or the time is over."""
        for result in self._results:
            if result.is_waiting:
                result.production = self
                self._waiting += 1
        wait_ms = wait_ms_of(timeout_ms)
        self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._late, wait_ms)

    def one_done(self) -> None:
        """Counts; answers behind the last one."""
        self._waiting -= 1
        if not self._waiting and not self._is_answered:
            self._send()

    def _late(self, wait_ms: int) -> None:
        for result in self._results:
            if result.is_waiting:
                result.error = timed_out(wait_ms)
        self._send()

    def _send(self) -> None:
        self._is_answered = True
        if self._timer is not None:
            self._timer.cancel()
        response = _response(self._call, self._results)
        for result in self._results:
            # Nothing is left for the garbage collector.
            result.production = None
        self._answer((response,))


def _handle(call: Call, body: memoryview, answer: Answer) -> Cancel | None:
    request = read_produce(body, call.version, call.services.settings.request_max_elements)
    return prepare_and_go_on(call, request, answer, _find_for(call, request), _go_on)


def _find_for(call: Call, request: ProduceRequest) -> Find:
    broker, version, acks = call.services.broker, call.version, request.acks
    return lambda item: _partition(broker, item, version, acks)


def _go_on(call: Call, request: ProduceRequest, answer: Answer, preparations: Preparations) -> Cancel | None:
    """Appends, and answers; inside a transaction the coordinator may have to be asked first."""

    def produce(call: Call, request: ProduceRequest, answer: Answer, outcomes: Outcomes) -> None:
        _produce(call, request, answer, outcomes, preparations)

    if request.transactional_id is not None:
        return produce_in_transaction(call, request, answer, _find_for(call, request), produce)
    produce(call, request, answer, _NO_OUTCOMES)
    return None


def _produce(
    call: Call, request: ProduceRequest, answer: Answer, outcomes: Outcomes, preparations: Preparations
) -> None:
    version = call.version
    results: list[_Result] = []
    refusal = _refusal(request)
    broker = call.services.broker
    for number, item in enumerate(request.partitions):
        result = _Result(item)
        results.append(result)
        try:
            if refusal is not None:
                raise refusal
            outcome = outcomes.get(number)
            if isinstance(outcome, LogServerError):
                raise outcome
            _append(broker, item, result, version, request.acks, outcome, preparations.get(number))
        except LogServerError as error:
            result.error = without_trace(error)
    if request.acks == _NONE:
        _end_without_answer(results, answer)
    elif any(result.is_waiting for result in results):
        _Production(call, answer, results).wait(request.timeout_ms)
    else:
        answer((_response(call, results),))


def _append(
    broker: Broker,
    item: ProducePartition,
    result: _Result,
    version: int,
    acks: int,
    verification: Verification | None,
    prepared: Prepared | LogServerError | None,
) -> None:
    """Appends the records for one partition; with acks=all, a report is due unless they are durable already."""
    partition = _partition(broker, item, version, acks)
    if isinstance(prepared, LogServerError):
        raise prepared
    batch = prepared or one_batch(item.records, version)
    # Not told with errors of the request itself, as by Kafka.
    result.log_start_offset = partition.log_start_offset
    appended = partition.append(batch, verification)
    result.base_offset, result.append_time_ms = appended.base_offset, appended.append_time_ms
    if acks == _ALL:
        result.is_waiting = True
        partition.when_committed(appended.last_offset, result.committed)


def _response(call: Call, results: Sequence[_Result]) -> bytes:
    return write_produce(results, call.version, endpoint_of(call.client))


def _end_without_answer(results: Sequence[_Result], answer: Answer) -> None:
    for result in results:
        if result.error is not None:
            topic = (result.topic or result.topic_id or "")[:_SHOWN]
            reason = str(result.error)[:_SHOWN]
            raise CloseConnection(f"records for {topic}-{result.number} with acks=0 were refused: {reason}")
    answer(None)


def _refusal(request: ProduceRequest) -> LogServerError | None:
    """Returns why the whole request is refused, or None."""
    if request.transactional_id is None:
        for item in request.partitions:
            if is_transactional(item.records):
                return LogServerError(
                    ErrorCode.transactional_id_authorization_failed, "a transactional record batch comes without an id"
                )
    return None


def _partition(broker: Broker, item: ProducePartition, version: int, acks: int) -> Partition:
    topic = _topic(broker, item)
    if not 0 <= item.number < len(topic.partitions):
        raise unknown_partition(topic.name, item.number, len(topic.partitions))
    if acks != _ALL and acks != _LEADER and acks != _NONE:
        # Records that are wrong are told first.
        one_batch(item.records, version)
        raise LogServerError(ErrorCode.invalid_required_acks, f"acks={acks} is not known; it is 0, 1 or -1 (all)")
    if topic.name in INTERNAL_TOPICS:
        raise LogServerError(
            ErrorCode.invalid_topic_exception, f"only the server itself writes to its topic {topic.name!r}"
        )
    return topic.partitions[item.number]


def _topic(broker: Broker, item: ProducePartition) -> Topic:
    if item.topic_id is not None:
        topic = broker.find_topic_by_id(item.topic_id)
        if topic is None:
            raise LogServerError(ErrorCode.unknown_topic_id, f"there is no topic with the id {item.topic_id}")
        return topic
    topic = broker.find_topic(item.topic)
    if topic is None:
        raise unknown_topic(item.topic)
    return topic


def _refuse(error: LogServerError) -> RawHandler:
    def handle(call: Call, body: memoryview, answer: Answer) -> Cancel | None:
        request = read_produce(body, call.version, call.services.settings.request_max_elements)
        results = [_Result(item) for item in request.partitions]
        for result in results:
            result.error = error
        if request.acks == _NONE:
            _end_without_answer(results, answer)
        else:
            answer((_response(call, results),))
        return None

    return handle


API: Final = Api(0, "Produce", 3, 13, raw=_handle, quick=quick, advertised_lowest=0, refuse=_refuse)
