"""Messages of a subscription, read by hand: generated code would copy the record bytes twice.

The record batches of an answer stay where they came in; its small fields are read by the generated code. Fields are
numbered as in `log.proto`; a field is a tag (number and wire type), then its value (protocol buffers' encoding guide).
"""

from typing import Any, Final

from google.protobuf.message import DecodeError
from logserver_records.batch import Buffer
from logserverpb.v1 import log_pb2

_METHOD: Final = "/logserver.v1.Log/Subscribe"

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES: Final = 10

_PARTITIONS: Final = log_pb2.SubscribeResponse.PARTITIONS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_BATCHES: Final = log_pb2.PartitionData.BATCHES_FIELD_NUMBER << 3 | _LENGTH_DELIMITED

Answer = tuple[log_pb2.PartitionData, Buffer]
"""What was said about a partition, without `batches`, and the record batches."""


def decode_response(message: bytes) -> list[Answer]:
    """Returns the partitions of a `SubscribeResponse`; their record batches refer to the message.

    Raises:
        DecodeError: the bytes are no such message.
    """
    view = memoryview(message)
    answers = []
    position = 0
    while position < len(view):
        tag, start, position = _field(view, position)
        if tag == _PARTITIONS:
            answers.append(_partition(view[start:position]))
    return answers


def _partition(view: memoryview) -> Answer:
    small: list[memoryview] = []
    batches: Buffer = b""
    position = 0
    while position < len(view):
        before = position
        tag, start, position = _field(view, position)
        if tag == _BATCHES:
            batches = view[start:position]
        else:
            small.append(view[before:position])
    return log_pb2.PartitionData.FromString(b"".join(small)), batches


def _field(view: memoryview, position: int) -> tuple[int, int, int]:
    """Returns the tag of the field at a position, and where its value starts and ends; without its length."""
    tag, start = _varint(view, position)
    kind = tag & 7
    if kind == _LENGTH_DELIMITED:
        length, start = _varint(view, start)
        end = start + length
    elif kind == _VARINT:
        _, end = _varint(view, start)
    elif kind in _FIXED_BYTES:
        end = start + _FIXED_BYTES[kind]
    else:
        raise DecodeError(f"a field of wire type {kind}")
    if end > len(view):
        raise DecodeError(f"a field ends {end - len(view)} bytes behind its message")
    return tag, start, end


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """Returns the number at a position and where the next field is."""
    number = 0
    for place, byte in enumerate(view[position : position + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, position + place + 1
    raise DecodeError("a number without an end")


def open_subscription(channel: Any) -> Any:
    """Opens a `Subscribe` call whose responses are `decode_response`'s."""
    call = channel.stream_stream(
        _METHOD,
        request_serializer=log_pb2.SubscribeRequest.SerializeToString,
        response_deserializer=decode_response,
    )
    return call()
