"""Messages of a queue that carry records, read by hand: generated code would copy the record bytes twice.

Record batches stay where they came in; small fields are read by the generated code. Fields are numbered as in
`queues.proto`.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from logserver_records.batch import Buffer
from logserverpb.v1 import queues_pb2

from logserver_client._transport.fields import LENGTH_DELIMITED, next_field

_CONSUME: Final = "/logserver.v1.Queues/Consume"
_RECEIVE: Final = "/logserver.v1.Queues/Receive"

_DELIVERED: Final = queues_pb2.ConsumeResponse.DELIVERED_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_RECEIVED: Final = queues_pb2.ReceiveResponse.DELIVERED_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_BATCHES: Final = queues_pb2.DeliveredRecords.BATCHES_FIELD_NUMBER << 3 | LENGTH_DELIMITED


class Arrival(NamedTuple):
    """Records of one partition as they came; those that are in no range are not for us."""

    partition: int
    ranges: Sequence[queues_pb2.AcquiredRange]
    batches: Buffer


class Received(NamedTuple):
    """The answer to Receive; `head` is the message without its records."""

    head: queues_pb2.ReceiveResponse
    arrivals: list[Arrival]


def decode_consumed(message: bytes) -> Arrival | queues_pb2.ConsumeResponse:
    """Returns what a `ConsumeResponse` delivers, or the message where it says something else.

    Raises:
        DecodeError: the bytes are no such message.
    """
    if message[:1] != bytes((_DELIVERED,)):
        return queues_pb2.ConsumeResponse.FromString(message)
    view = memoryview(message)
    _, start, end = next_field(view, 0)
    return _arrival(view[start:end])


def decode_received(message: bytes) -> Received:
    """Returns a `ReceiveResponse`; its record batches refer to the message.

    Raises:
        DecodeError: the bytes are no such message.
    """
    view = memoryview(message)
    small: list[memoryview] = []
    arrivals: list[Arrival] = []
    position = 0
    while position < len(view):
        before = position
        tag, start, position = next_field(view, position)
        if tag == _RECEIVED:
            arrivals.append(_arrival(view[start:position]))
        else:
            small.append(view[before:position])
    return Received(queues_pb2.ReceiveResponse.FromString(b"".join(small)), arrivals)


def _arrival(view: memoryview) -> Arrival:
    small: list[memoryview] = []
    batches: Buffer = b""
    position = 0
    while position < len(view):
        before = position
        tag, start, position = next_field(view, position)
        if tag == _BATCHES:
            batches = view[start:position]
        else:
            small.append(view[before:position])
    fields = queues_pb2.DeliveredRecords.FromString(b"".join(small))
    return Arrival(fields.partition, fields.ranges, batches)


def open_consume(channel: Any) -> Any:
    """Opens a `Consume` call whose responses are `decode_consumed`'s."""
    call = channel.stream_stream(
        _CONSUME,
        request_serializer=queues_pb2.ConsumeRequest.SerializeToString,
        response_deserializer=decode_consumed,
    )
    return call()


def receive_method(channel: Any) -> Any:
    """Returns the `Receive` method, whose answer is `decode_received`'s."""
    return channel.unary_unary(
        _RECEIVE,
        request_serializer=queues_pb2.ReceiveRequest.SerializeToString,
        response_deserializer=decode_received,
    )
