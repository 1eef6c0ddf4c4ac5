"""Fetch (key 1), versions 4 to 18.

Behavior: reads each partition from the offset asked for, up to the high watermark, or up to the last stable offset for
those who read committed records only, who are told which transactions were aborted, in whole record batches as they are
stored; the first batch of the response is sent whatever its size (KIP-74). With less than min_bytes there, it waits
for more, max_wait_ms at most; an error of any partition, or an epoch that diverges, answers at once. Incremental
sessions (KIP-227) are kept by the broker, so they outlive connections. The preferred read replica is always none.

Version notes: 4 brought transactions, 5 the log start offset, 7 sessions, 9 leader epochs (KIP-320), 10 zstd (a topic
with compression.type=zstd is UNSUPPORTED_COMPRESSION_TYPE before), 11 the rack, 12 tagged fields and the last fetched
epoch (KIP-595), 13 topic ids (KIP-516), 15 the replica's state (KIP-903), 16 leaders and their addresses beside
NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH (KIP-951), 17 directory ids (KIP-853), 18 the follower's high watermark
(KIP-1166). Before version 6, KAFKA_STORAGE_ERROR is told as NOT_LEADER_OR_FOLLOWER.

Source: KIP-74, KIP-98, KIP-227, KIP-320, KIP-516, KIP-595, KIP-951; Apache Kafka: `KafkaApis.handleFetchRequest`,
`ReplicaManager.fetchMessages`, `FetchSession`.

Not done: followers, who are told that they are none (NOT_LEADER_OR_FOLLOWER).
"""

from typing import Final

from logserver.broker import Broker, Partition
from logserver.broker.fetch_sessions import (
    FINAL_EPOCH,
    INITIAL_EPOCH,
    NO_SESSION,
    FetchPartition,
    FetchSession,
    PartitionKey,
    next_epoch,
)
from logserver.broker.isolation import IsolationLevel
from logserver.errors import ErrorCode, LogServerError, unknown_topic
from logserver.kafka_api.api import Answer, Api, Call, Cancel, RawHandler
from logserver.kafka_api.fetch_quick import quick
from logserver.kafka_api.fetch_request import FetchRequest, read_fetch
from logserver.kafka_api.fetch_response import AnsweredPartition, Endpoint, FetchResponse, Leader, write_fetch
from logserver.kafka_api.pending_fetch import FetchedPartition, PendingFetch

_TOPIC_IDS: Final = 13
_ZSTD: Final = 10
_STORAGE_ERRORS: Final = 6
_LEADERS: Final = 16
_LED_ELSEWHERE: Final = (ErrorCode.not_leader_or_follower, ErrorCode.fenced_leader_epoch)


class _Fetch:
    """One request: from its session to its response."""

    __slots__ = ("_answer", "_broker", "_call", "_partitions", "_request", "_session")

    def __init__(self, call: Call, request: FetchRequest, answer: Answer) -> None:
        self._call = call
        self._broker: Broker = call.services.broker
        self._request = request
        self._answer = answer
        self._session: FetchSession | None = None
        self._partitions: dict[PartitionKey, FetchPartition] = request.partitions

    def begin(self) -> Cancel | None:
        """Reads, and answers at once or later; returns what gives it up."""
        request = self._request
        try:
            self._open_session()
        except LogServerError as error:
            self._send(FetchResponse(NO_SESSION, error.code.value))
            return None
        # Those of a session are many also where the request names none.
        self._call.weigh(len(self._partitions))
        max_bytes = max(min(request.max_bytes, self._broker.settings.fetch_max_bytes), 0)
        pending = PendingFetch(
            self._find,
            tuple(self._partitions.values()),
            min_bytes=min(request.min_bytes, max_bytes),
            max_bytes=max_bytes,
            isolation=(IsolationLevel.READ_COMMITTED if request.is_read_committed else IsolationLevel.READ_UNCOMMITTED),
            done=self._done,
        )
        pending.start(request.max_wait_ms)
        return pending.cancel

    def _open_session(self) -> None:
        """Finds out which partitions the request is about."""
        request = self._request
        sessions = self._broker.fetch_sessions
        if request.session_epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            sessions.close(request.session_id)
            return
        uses_ids = self._call.version >= _TOPIC_IDS
        self._session = sessions.go_on(
            request.session_id,
            request.session_epoch,
            uses_ids,
            request.partitions.values(),
            request.forgotten,
            self._now_ms(),
        )
        if self._session is not None:
            self._partitions = self._session.partitions

    def _now_ms(self) -> float:
        return self._call.services.clock.monotonic_ms()

    def _find(self, asked: FetchPartition) -> Partition:
        """Returns a partition; see `pending_fetch.Lookup`."""
        broker = self._broker
        if asked.topic is None:
            topic = broker.find_topic_by_id(asked.topic_id or "")
            if topic is None:
                raise LogServerError(ErrorCode.unknown_topic_id, f"there is no topic with the id {asked.topic_id}")
            asked.topic = topic.name
        else:
            topic = broker.find_topic(asked.topic)
            if topic is None:
                raise unknown_topic(asked.topic)
            if asked.topic_id is not None and topic.record.topic_id != asked.topic_id:
                raise LogServerError(
                    ErrorCode.inconsistent_topic_id,
                    f"the topic {topic.name!r} is another one than when it was asked for",
                )
        partition = broker.partition(topic.name, asked.number)
        if self._request.replica_id >= 0:
            raise LogServerError(
                ErrorCode.not_leader_or_follower,
                f"node {self._request.replica_id} has no replica of {partition}",
                leader=partition.leader,
            )
        if self._call.version < _ZSTD and topic.settings.compression_type == "zstd":
            raise LogServerError(
                ErrorCode.unsupported_compression_type,
                f"the topic {topic.name!r} is compressed with zstd, which needs version {_ZSTD} of Fetch",
            )
        return partition

    # The response

    def _done(self, results: list[FetchedPartition]) -> None:
        session, request = self._session, self._request
        if session is not None:
            if session.epoch != next_epoch(request.session_epoch):
                # The client sent another request of the session without waiting for this one.
                self._send(FetchResponse(session.id, ErrorCode.invalid_fetch_session_epoch.value))
                return
            results = [result for result in results if _is_news(session, result)]
            self._send(self._response(session.id, results))
            return
        session_id = NO_SESSION
        if request.session_epoch == INITIAL_EPOCH:
            for result in results:
                result.asked.told(result.high_watermark, result.log_start_offset)
            session_id = self._broker.fetch_sessions.begin(
                self._partitions, self._call.version >= _TOPIC_IDS, self._now_ms()
            )
        self._send(self._response(session_id, results))

    def _response(self, session_id: int, results: list[FetchedPartition]) -> FetchResponse:
        partitions = []
        endpoints: dict[int, Endpoint] = {}
        for result in results:
            if result.error is None:
                partitions.append(AnsweredPartition(result, 0))
                continue
            code = result.error.code
            leader = self._leader(result, result.error) if code in _LED_ELSEWHERE else None
            if leader is not None and leader.node_id == self._broker.node.node_id:
                endpoints[leader.node_id] = Endpoint(leader.node_id, self._call.host, self._call.port)
            if code is ErrorCode.kafka_storage_error and self._call.version < _STORAGE_ERRORS:
                code = ErrorCode.not_leader_or_follower
            partitions.append(AnsweredPartition(result, code.value, leader))
        return FetchResponse(session_id, 0, partitions, self._request.is_read_committed, tuple(endpoints.values()))

    def _leader(self, result: FetchedPartition, error: LogServerError) -> Leader | None:
        """Returns who leads a partition now, where that is known and the client understands it."""
        if self._call.version < _LEADERS:
            return None
        if error.leader is not None:
            return Leader(error.leader.node_id, error.leader.leader_epoch)
        partition = result.partition
        if partition is None or partition.unavailable is not None:
            return None
        return Leader(self._broker.node.node_id, partition.leader_epoch)

    def _send(self, response: FetchResponse) -> None:
        self._answer(write_fetch(response, self._call.version))


def _is_news(session: FetchSession, result: FetchedPartition) -> bool:
    """Whether a partition is to be named in an incremental response; its session takes up what it says."""
    asked = result.asked
    is_changed = asked.told(result.high_watermark, result.log_start_offset)
    if result.chunks:
        session.read_last(asked)
        return True
    if result.error is not None:
        # When the error is over, the partition is told again.
        asked.high_watermark = -1
        return True
    return is_changed or result.diverging is not None


def _handle(call: Call, body: memoryview, answer: Answer) -> Cancel | None:
    request = read_fetch(body, call.version, call.services.settings.request_max_elements)
    return _Fetch(call, request, answer).begin()


class _Refused(_Fetch):
    """A request whose partitions all have the same error."""

    __slots__ = ("_error",)

    def __init__(self, call: Call, request: FetchRequest, answer: Answer, error: LogServerError) -> None:
        super().__init__(call, request, answer)
        self._error = error

    def _find(self, asked: FetchPartition) -> Partition:
        raise self._error


def _refuse(error: LogServerError) -> RawHandler:
    def handle(call: Call, body: memoryview, answer: Answer) -> Cancel | None:
        request = read_fetch(body, call.version, call.services.settings.request_max_elements)
        return _Refused(call, request, answer, error).begin()

    return handle


API: Final = Api(1, "Fetch", 4, 18, raw=_handle, quick=quick, refuse=_refuse)
