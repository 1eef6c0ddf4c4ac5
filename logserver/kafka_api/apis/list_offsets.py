"""ListOffsets (key 2), versions 1 to 11.

Behavior: answers for each partition the offset for a time: the first record's (-2, and -4 for the local log, which is
all there is), the one behind the last record that can be read (-1), of the largest timestamp (-3), or of the first
record with at least a timestamp. What is not there is answered with offset and timestamp -1: so are the tiered log's
last offset (-5) and the first one to be uploaded to it (-6). Only what is committed is found. A partition that is named
twice is refused with INVALID_REQUEST.

Version notes: 1 answers one offset with its timestamp, 2 brought the isolation level, 4 leader epochs (KIP-320), 6
tagged fields, 7 the largest timestamp (KIP-734), 8 the local log (KIP-405), 9 the tiered log's last offset
(KIP-1005), 10 a timeout (KIP-1075), 11 the first offset to be uploaded (KIP-1023). A negative timestamp that a version
does not have is UNSUPPORTED_VERSION.

Source: KIP-79, KIP-320, KIP-405, KIP-734, KIP-1005, KIP-1023, KIP-1075; Apache Kafka: `ReplicaManager.fetchOffset`,
`Partition.fetchOffsetForTimestamp`.

Not done: timeout_ms is about tiered storage, which there is
none of.
"""

from collections import Counter
from typing import Any, Final

from logserver_segments.partition_log import TimestampOffset

from logserver.broker import Broker, Partition
from logserver.broker.isolation import IsolationLevel
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.epochs import UNDEFINED_EPOCH, epoch_of_offset, known_epoch
from logserver.kafka_api.in_turns import together

_LATEST: Final = -1
_EARLIEST: Final = -2
_MAX_TIMESTAMP: Final = -3
_EARLIEST_LOCAL: Final = -4
_LATEST_TIERED: Final = -5
_EARLIEST_PENDING_UPLOAD: Final = -6
_SINCE_VERSION: Final = {
    _LATEST: 1,
    _EARLIEST: 1,
    _MAX_TIMESTAMP: 7,
    _EARLIEST_LOCAL: 8,
    _LATEST_TIERED: 9,
    _EARLIEST_PENDING_UPLOAD: 11,
}
_CONSUMER: Final = -1
_READ_COMMITTED: Final = 1
_NOTHING: Final = -1


async def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    named = Counter((topic.name, asked.partition_index) for topic in request.topics for asked in topic.partitions)
    answers = (
        _partition(broker, call.version, request, topic.name, asked, named[topic.name, asked.partition_index] > 1)
        for topic in request.topics
        for asked in topic.partitions
    )
    # At the same time: a search by time may have to wait for the disk.
    done = iter(await together(answers))
    return {
        "topics": [
            {"name": topic.name, "partitions": [next(done) for _ in topic.partitions]} for topic in request.topics
        ]
    }


async def _partition(
    broker: Broker, version: int, request: Struct, topic: str, asked: Struct, is_twice: bool
) -> dict[str, Any]:
    try:
        if is_twice:
            raise LogServerError(
                ErrorCode.invalid_request, f"{topic}-{asked.partition_index} is named more than once in the request"
            )
        _check_timestamp(asked.timestamp, version)
        partition = broker.partition(topic, asked.partition_index)
        partition.check_epoch(known_epoch(asked.current_leader_epoch))
        if partition.unavailable is not None:
            raise partition.unavailable
        offset, timestamp_ms, epoch = await _find(
            partition, asked.timestamp, request.replica_id, IsolationLevel(request.isolation_level == _READ_COMMITTED)
        )
    except LogServerError as error:
        return _failed_partition(asked, error.code.value)
    return {
        "partition_index": asked.partition_index,
        "error_code": 0,
        "offset": offset,
        "timestamp": timestamp_ms,
        "leader_epoch": epoch,
    }


def _check_timestamp(timestamp_ms: int, version: int) -> None:
    if timestamp_ms < 0 and version < _SINCE_VERSION.get(timestamp_ms, version + 1):
        raise LogServerError(
            ErrorCode.unsupported_version, f"version {version} of ListOffsets has no timestamp {timestamp_ms}"
        )


async def _find(
    partition: Partition, timestamp_ms: int, replica_id: int, isolation: IsolationLevel
) -> tuple[int, int, int]:
    """Returns offset, timestamp and leader epoch."""
    if timestamp_ms == _LATEST:
        # Tools that look at replicas see the whole log.
        end = isolation.end(partition) if replica_id == _CONSUMER else partition.log_end_offset
        return end, _NOTHING, partition.leader_epoch
    if timestamp_ms in (_EARLIEST, _EARLIEST_LOCAL):
        start = partition.log_start_offset
        return start, _NOTHING, epoch_of_offset(partition, start)
    if timestamp_ms in (_LATEST_TIERED, _EARLIEST_PENDING_UPLOAD):
        return _NOTHING, _NOTHING, UNDEFINED_EPOCH
    found: TimestampOffset | None
    if timestamp_ms == _MAX_TIMESTAMP:
        found = await partition.offset_of_max_timestamp()
    else:
        found = await partition.offset_for_timestamp(timestamp_ms)
    if found is None or (replica_id == _CONSUMER and found.offset >= isolation.end(partition)):
        return _NOTHING, _NOTHING, UNDEFINED_EPOCH
    return found.offset, found.timestamp_ms, epoch_of_offset(partition, found.offset)


def _failed_partition(asked: Struct, code: int) -> dict[str, Any]:
    return {
        "partition_index": asked.partition_index,
        "error_code": code,
        "offset": _NOTHING,
        "timestamp": _NOTHING,
        "leader_epoch": UNDEFINED_EPOCH,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "topics": [
            {"name": topic.name, "partitions": [_failed_partition(asked, code) for asked in topic.partitions]}
            for topic in request.topics
        ]
    }


API: Final = Api(2, "ListOffsets", 1, 11, handle=_handle, failed=_failed)
