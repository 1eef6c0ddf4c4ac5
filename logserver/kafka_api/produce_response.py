"""The response of Produce: by hand where all went well, because that is every time, otherwise by its schema."""

from base64 import urlsafe_b64decode
from collections.abc import Iterable, Sequence
from itertools import groupby
from struct import Struct as Packed
from typing import Any, Final, NamedTuple

from logserver_records.varint import unsigned_varint

from logserver.broker.storage_errors import RecordsRefused
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Client
from logserver.kafka_api.codec import write_response
from logserver.kafka_api.errors import leader_of
from logserver.kafka_api.produce_request import FLEXIBLE, TOPIC_IDS, ProducePartition

_KEY: Final = 0
_LEAST_TIMEOUT_MS: Final = 1000
"""Clients that leave the time at 0 work with a Kafka that has nobody to wait for, so they do here."""
_NO_START: Final = (
    ErrorCode.unknown_topic_or_partition,
    ErrorCode.unknown_topic_id,
    ErrorCode.not_leader_or_follower,
    ErrorCode.message_too_large,
    ErrorCode.record_list_too_large,
    ErrorCode.corrupt_message,
    ErrorCode.kafka_storage_error,
    ErrorCode.invalid_required_acks,
    ErrorCode.invalid_topic_exception,
)
"""Errors beside which Kafka does not tell the log start offset."""
_INT32: Final = Packed(">i")
_PARTITION_3: Final = Packed(">ihqq")
"""Number, error code, base offset, append time."""
_PARTITION_5: Final = Packed(">ihqqq")
"""With the log start offset."""
_PARTITION_8: Final = Packed(">ihqqqih")
"""With the count of refused records, and no error message."""
_PARTITION_9: Final = Packed(">ihqqqBBB")
"""The same, compact, and no tagged fields."""
_NO_THROTTLE: Final = b"\x00\x00\x00\x00"


class ProducedPartition:
    """What became of the records for a partition."""

    __slots__ = ("append_time_ms", "base_offset", "error", "log_start_offset", "number", "topic", "topic_id")

    def __init__(self, item: ProducePartition) -> None:
        self.topic = item.topic
        self.topic_id = item.topic_id
        self.number = item.number
        self.error: LogServerError | None = None
        self.base_offset = -1
        self.append_time_ms = -1
        self.log_start_offset = -1


class Endpoint(NamedTuple):
    """Where a node is reached."""

    node_id: int
    host: str
    port: int


def endpoint_of(client: Client) -> Endpoint:
    """Returns this node, as a client reaches it."""
    return Endpoint(client.services.broker.node.node_id, client.host, client.port)


def wait_ms_of(timeout_ms: int) -> int:
    """Returns how long a request that asks for so many milliseconds waits until its records are durable."""
    return max(timeout_ms, _LEAST_TIMEOUT_MS)


def timed_out(wait_ms: int) -> LogServerError:
    """Returns what is said when the records are not durable after so many milliseconds."""
    return LogServerError(ErrorCode.request_timed_out, f"the records are stored, but not durable after {wait_ms} ms")


def write_produce(results: Sequence[ProducedPartition], version: int, here: Endpoint) -> bytes:
    """Returns a response of any version from 3 on.

    Args:
        here: this node, as the client reaches it.
    """
    for result in results:
        if result.error is not None:
            return _by_schema(results, version, here)
    return _flexible(results, version) if version >= FLEXIBLE else _plain(results, version)


def _topic_of(result: ProducedPartition) -> tuple[str, str | None]:
    return result.topic, result.topic_id


def _by_topic(results: Sequence[ProducedPartition]) -> list[tuple[tuple[str, str | None], list[ProducedPartition]]]:
    """Groups partitions of a topic that follow each other."""
    if len(results) == 1:
        return [(_topic_of(results[0]), list(results))]
    return [(topic, list(found)) for topic, found in groupby(results, _topic_of)]


def _flexible(results: Sequence[ProducedPartition], version: int) -> bytes:
    topics = _by_topic(results)
    out = [unsigned_varint(len(topics) + 1)]
    for (topic, topic_id), found in topics:
        if version >= TOPIC_IDS:
            out.append(urlsafe_b64decode((topic_id or "") + "=="))
        else:
            name = topic.encode()
            out += (unsigned_varint(len(name) + 1), name)
        out.append(unsigned_varint(len(found) + 1))
        for one in found:
            out.append(
                _PARTITION_9.pack(one.number, 0, one.base_offset, one.append_time_ms, one.log_start_offset, 1, 0, 0)
            )
        out.append(b"\x00")
    out += (_NO_THROTTLE, b"\x00")
    return b"".join(out)


def _plain(results: Sequence[ProducedPartition], version: int) -> bytes:
    topics = _by_topic(results)
    out = [_INT32.pack(len(topics))]
    for (topic, _), found in topics:
        name = topic.encode()
        out += (len(name).to_bytes(2), name, _INT32.pack(len(found)))
        for one in found:
            number, offset, time_ms, start = (
                one.number,
                one.base_offset,
                one.append_time_ms,
                one.log_start_offset,
            )
            if version >= 8:
                out.append(_PARTITION_8.pack(number, 0, offset, time_ms, start, 0, -1))
            elif version >= 5:
                out.append(_PARTITION_5.pack(number, 0, offset, time_ms, start))
            else:
                out.append(_PARTITION_3.pack(number, 0, offset, time_ms))
    out.append(_NO_THROTTLE)
    return b"".join(out)


def _by_schema(results: Iterable[ProducedPartition], version: int, here: Endpoint) -> bytes:
    responses = []
    endpoints: tuple[dict[str, Any], ...] = ()
    for (topic, topic_id), found in groupby(results, _topic_of):
        partitions = [_partition(result) for result in found]
        if any(one.get("current_leader", {}).get("leader_id") == here.node_id for one in partitions):
            endpoints = ({"node_id": here.node_id, "host": here.host, "port": here.port, "rack": None},)
        responses.append({"name": topic, "topic_id": topic_id, "partition_responses": partitions})
    return write_response(_KEY, version, {"responses": responses, "node_endpoints": endpoints})


def _partition(result: ProducedPartition) -> dict[str, Any]:
    response: dict[str, Any] = {
        "index": result.number,
        "base_offset": result.base_offset,
        "log_append_time_ms": result.append_time_ms,
        "log_start_offset": result.log_start_offset,
    }
    error = result.error
    if error is None:
        return response
    response.update(error_code=error.code.value, error_message=error.message)
    if error.code in _NO_START:
        response["log_start_offset"] = -1
    if error.code is ErrorCode.not_leader_or_follower:
        response.update(leader_of(error))
    if isinstance(error, RecordsRefused):
        response["record_errors"] = [
            {"batch_index": record.number, "batch_index_error_message": record.reason} for record in error.refused
        ]
    return response
