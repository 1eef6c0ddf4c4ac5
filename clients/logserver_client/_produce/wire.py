"""Messages of the produce stream, written by hand: generated code would copy the record bytes three times over.

Fields are numbered as in `log.proto`; a message's own length comes before its bytes (protocol buffers' encoding guide).
"""

from collections.abc import Iterable
from typing import Any, Final

from logserver_records.batch import Buffer
from logserver_records.varint import unsigned_varint
from logserverpb.v1 import log_pb2

_METHOD: Final = "/logserver.v1.Log/ProduceStream"
_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2


def _tag(number: int, kind: int) -> bytes:
    return bytes((number << 3 | kind,))


_CORRELATION_ID: Final = _tag(log_pb2.ProduceStreamRequest.CORRELATION_ID_FIELD_NUMBER, _VARINT)
_ACKS: Final = _tag(log_pb2.ProduceStreamRequest.ACKS_FIELD_NUMBER, _VARINT)
_TRANSACTIONAL_ID: Final = _tag(log_pb2.ProduceStreamRequest.TRANSACTIONAL_ID_FIELD_NUMBER, _LENGTH_DELIMITED)
_PARTITIONS: Final = _tag(log_pb2.ProduceStreamRequest.PARTITIONS_FIELD_NUMBER, _LENGTH_DELIMITED)
_BATCHES: Final = _tag(log_pb2.ProducePartition.BATCHES_FIELD_NUMBER, _LENGTH_DELIMITED)


def encode_request(
    correlation_id: int, acks: int, partitions: Iterable[tuple[str, int, Buffer]], transactional_id: bytes = b""
) -> bytes:
    """Returns a `ProduceStreamRequest` of (topic, partition, record batches)."""
    parts: list[Buffer] = [_CORRELATION_ID, unsigned_varint(correlation_id), _ACKS, unsigned_varint(acks)]
    if transactional_id:
        parts += (_TRANSACTIONAL_ID, unsigned_varint(len(transactional_id)), transactional_id)
    for topic, partition, batches in partitions:
        fields = log_pb2.ProducePartition(topic=topic, partition=partition).SerializeToString()
        head = fields + _BATCHES + unsigned_varint(len(batches))
        parts += (_PARTITIONS, unsigned_varint(len(head) + len(batches)), head, batches)
    return b"".join(parts)


def open_produce_stream(channel: Any) -> Any:
    """Opens a `ProduceStream` call that takes encoded requests."""
    call = channel.stream_stream(
        _METHOD,
        request_serializer=None,
        response_deserializer=log_pb2.ProduceStreamResponse.FromString,
    )
    return call()
