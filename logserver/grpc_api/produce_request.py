"""Produce requests, read by hand: generated code would copy the record batches twice.

What producers send, fields of the declared types and each at most once, is walked here, in any order of the fields;
its record batches stay where they came in. Everything else that protocol buffers allow, and everything they don't, is
left to the generated code, so there is one opinion of what a message means. Fields are numbered as in `log.proto`; a
field is a tag (number and wire type), then its value (protocol buffers' encoding guide).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from logserver_records.batch import Buffer
from logserverpb.v1 import common_pb2, log_pb2

_VARINT, _LENGTH_DELIMITED = 0, 2
_MAX_INT32: Final = 0x7FFFFFFF

_MOST_VARINT_BYTES: Final = 9
"""Of a number that is read here: 63 bits, which can't overflow."""

_MOST_FIELDS: Final = 2_048
"""Of a request that is read here: more are not worth a loop in Python that others would have to wait for."""

_TOPIC: Final = log_pb2.ProducePartition.TOPIC_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_PARTITION: Final = log_pb2.ProducePartition.PARTITION_FIELD_NUMBER << 3 | _VARINT
_BATCHES: Final = log_pb2.ProducePartition.BATCHES_FIELD_NUMBER << 3 | _LENGTH_DELIMITED


class PartitionRequest(NamedTuple):
    """What is to be appended to one partition: record batches, plain records, or None if there was neither."""

    topic: str
    partition: int
    data: Buffer | common_pb2.RecordList | None


class ProduceRequest(NamedTuple):
    """A `ProduceRequest`, whose correlation id is 0, or a `ProduceStreamRequest`."""

    correlation_id: int
    acks: int
    partitions: Collection[PartitionRequest]
    transactional_id: str = ""


class _Generated(Collection[PartitionRequest]):
    """Partitions that the generated code has read, each taken over when it is looked at: a message has room for
    millions of empty ones, and whoever counts them first is spared that."""

    __slots__ = ("_items",)

    def __init__(self, items: Sequence[log_pb2.ProducePartition]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[PartitionRequest]:
        return map(_convert, self._items)

    def __contains__(self, item: object) -> bool:
        return any(item == mine for mine in self)


class _Tags(NamedTuple):
    """The tags of the fields of a kind of request; 0, which no field has, for one that it does not have."""

    correlation_id: int
    partitions: int
    acks: int
    transactional_id: int


_UNARY: Final = _Tags(
    0,
    log_pb2.ProduceRequest.PARTITIONS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,
    log_pb2.ProduceRequest.ACKS_FIELD_NUMBER << 3 | _VARINT,
    log_pb2.ProduceRequest.TRANSACTIONAL_ID_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,
)
_STREAMED: Final = _Tags(
    log_pb2.ProduceStreamRequest.CORRELATION_ID_FIELD_NUMBER << 3 | _VARINT,
    log_pb2.ProduceStreamRequest.PARTITIONS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,
    log_pb2.ProduceStreamRequest.ACKS_FIELD_NUMBER << 3 | _VARINT,
    log_pb2.ProduceStreamRequest.TRANSACTIONAL_ID_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,
)


class _Unusual(Exception):
    """The message is to be read by the generated code."""


def read_produce_request(message: bytes) -> ProduceRequest:
    """Returns what a serialised `ProduceRequest` says; its record batches refer to the message.

    Raises:
        DecodeError: the bytes are no such message.
    """
    return _read(message, _UNARY, log_pb2.ProduceRequest)


def read_produce_stream_request(message: bytes) -> ProduceRequest:
    """Returns what a serialised `ProduceStreamRequest` says; its record batches refer to the message.

    Raises:
        DecodeError: the bytes are no such message.
    """
    return _read(message, _STREAMED, log_pb2.ProduceStreamRequest)


def _read(
    message: bytes, tags: _Tags, generated: type[log_pb2.ProduceRequest] | type[log_pb2.ProduceStreamRequest]
) -> ProduceRequest:
    try:
        return _walk(message, tags)
    # A UnicodeDecodeError is a name that is not UTF-8, an IndexError a message that ends inside a field.
    except (_Unusual, IndexError, UnicodeDecodeError):
        request = generated.FromString(message)
        correlation_id = request.correlation_id if isinstance(request, log_pb2.ProduceStreamRequest) else 0
        partitions = _Generated(request.partitions)
        return ProduceRequest(correlation_id, request.acks, partitions, request.transactional_id)


def _walk(message: bytes, tags: _Tags) -> ProduceRequest:
    """Reads a request of the usual shape.

    Raises:
        _Unusual, IndexError, UnicodeDecodeError: it has another, or is no request.
    """
    view = memoryview(message)
    correlation_id = acks = 0
    transactional_id = ""
    partitions: list[PartitionRequest] = []
    position = fields = 0
    end = len(message)
    while position < end:
        tag = message[position]
        number, position = _varint(message, position + 1)
        if tag == tags.partitions:
            partitions.append(_partition(message, view, position, position + number))
            position += number
        elif tag == tags.acks:
            if number > _MAX_INT32:
                raise _Unusual
            acks = number
        elif tag and tag == tags.correlation_id:
            correlation_id = number
        elif tag == tags.transactional_id:
            transactional_id = message[position : position + number].decode()
            position += number
        else:
            raise _Unusual
        fields += 1
        if fields > _MOST_FIELDS:
            raise _Unusual
    if position > end:
        raise _Unusual
    return ProduceRequest(correlation_id, acks, partitions, transactional_id)


def _partition(message: bytes, view: memoryview, position: int, end: int) -> PartitionRequest:
    """Reads the partition that lies from a position to an end, which may be behind the message's."""
    topic: str | None = None
    partition: int | None = None
    batches: Buffer | None = None
    if end > len(message):
        raise _Unusual
    while position < end:
        tag = message[position]
        number, start = _varint(message, position + 1)
        position = start
        if tag == _BATCHES and batches is None:
            position += number
            batches = view[start:position]
        elif tag == _TOPIC and topic is None:
            position += number
            topic = message[start:position].decode()
        elif tag == _PARTITION and partition is None and number <= _MAX_INT32:
            partition = number
        else:
            raise _Unusual
    if position > end:
        raise _Unusual
    return PartitionRequest(topic or "", partition or 0, batches)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Returns the number at a position and where it ends.

    Raises:
        IndexError: the message ends before it does.
        _Unusual: it is larger than any that is read here, or not written in the usual way.
    """
    byte = message[position]
    if byte < 0x80:
        return byte, position + 1
    number = byte & 0x7F
    for place in range(1, _MOST_VARINT_BYTES):
        byte = message[position + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if not byte:
                # Written longer than need be; how long is too long depends on what the number is for.
                raise _Unusual
            return number, position + place + 1
    raise _Unusual


def _convert(item: log_pb2.ProducePartition) -> PartitionRequest:
    kind = item.WhichOneof("data")
    data = None if kind is None else item.batches if kind == "batches" else item.records
    return PartitionRequest(item.topic, item.partition, data)
