"""Protocol buffers written by hand where record bytes would otherwise be copied three times over.

A message holding record batches is its small fields, encoded by the generated code, and the field `batches` behind
them: fields may come in any order (protocol buffers' encoding guide).
"""

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message
from logserver_records.batch import Buffer
from logserver_records.varint import unsigned_varint
from logserverpb.v1 import log_pb2

_LENGTH_DELIMITED: Final = 2
_BATCHES_TAG: Final = bytes(((log_pb2.PartitionData.BATCHES_FIELD_NUMBER << 3) | _LENGTH_DELIMITED,))
_PARTITIONS_TAG: Final = bytes(((log_pb2.SubscribeResponse.PARTITIONS_FIELD_NUMBER << 3) | _LENGTH_DELIMITED,))
assert log_pb2.FetchResponse.PARTITIONS_FIELD_NUMBER == log_pb2.SubscribeResponse.PARTITIONS_FIELD_NUMBER


def encode_partitions(partitions: Sequence[tuple[log_pb2.PartitionData, Buffer]]) -> bytes:
    """Returns a FetchResponse or SubscribeResponse of partitions whose record batches are given beside them."""
    parts: list[Buffer] = []
    for message, batches in partitions:
        fields = message.SerializeToString()
        size = len(fields)
        head = b""
        if len(batches):
            head = _BATCHES_TAG + unsigned_varint(len(batches))
            size += len(head) + len(batches)
        parts += (_PARTITIONS_TAG, unsigned_varint(size), fields, head, batches)
    return b"".join(parts)


def serialize(response: bytes | Message) -> bytes:
    """Serializes a response that is either a generated message or bytes already."""
    return response if isinstance(response, bytes) else response.SerializeToString()
