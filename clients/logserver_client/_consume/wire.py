"""Messages of a subscription, read by hand: generated code would copy the record bytes twice.

The record batches of an answer stay where they came in; its small fields are read by the generated code. Fields are
numbered as in `log.proto`.
"""

from typing import Any, Final

from logserver_records.batch import Buffer
from logserverpb.v1 import log_pb2

from logserver_client._transport.fields import LENGTH_DELIMITED, next_field

_METHOD: Final = "/logserver.v1.Log/Subscribe"

_PARTITIONS: Final = log_pb2.SubscribeResponse.PARTITIONS_FIELD_NUMBER << 3 | LENGTH_DELIMITED
_BATCHES: Final = log_pb2.PartitionData.BATCHES_FIELD_NUMBER << 3 | LENGTH_DELIMITED

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
        tag, start, position = next_field(view, position)
        if tag == _PARTITIONS:
            answers.append(_partition(view[start:position]))
    return answers


def _partition(view: memoryview) -> Answer:
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
    return log_pb2.PartitionData.FromString(b"".join(small)), batches


def open_subscription(channel: Any) -> Any:
    """Opens a `Subscribe` call whose responses are `decode_response`'s."""
    call = channel.stream_stream(
        _METHOD,
        request_serializer=log_pb2.SubscribeRequest.SerializeToString,
        response_deserializer=decode_response,
    )
    return call()
