"""Produce requests read by hand say what the generated code says, whatever the bytes are."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from logserver_records.varint import unsigned_varint
from logserverpb.v1 import common_pb2, log_pb2

from logserver.grpc_api import produce_request
from logserver.grpc_api.produce_request import (
    PartitionRequest,
    ProduceRequest,
    read_produce_request,
    read_produce_stream_request,
)

Message = type[log_pb2.ProduceRequest] | type[log_pb2.ProduceStreamRequest]
Read = Callable[[bytes], ProduceRequest]
KINDS: list[tuple[Message, Read]] = [
    (log_pb2.ProduceRequest, read_produce_request),
    (log_pb2.ProduceStreamRequest, read_produce_stream_request),
]

int32s = st.integers(0, 300) | st.sampled_from([-1, -(2**31), 2**31 - 1]) | st.integers(-(2**31), 2**31 - 1)
uint64s = st.integers(0, 300) | st.sampled_from([2**62, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
payloads = st.binary(max_size=20) | st.sampled_from([bytes(127), bytes(128), bytes(16_383), bytes(16_384)])
record_lists = st.builds(
    lambda values: common_pb2.RecordList(records=[common_pb2.Record(value=value) for value in values]),
    st.lists(st.binary(max_size=5), max_size=3),
)


@st.composite
def partitions(draw: st.DrawFn) -> log_pb2.ProducePartition:
    data: dict[str, Any] = draw(
        st.one_of(
            st.just({}),
            st.fixed_dictionaries({"batches": payloads}),
            st.fixed_dictionaries({"batches": payloads}),
            st.fixed_dictionaries({"records": record_lists}),
        )
    )
    return log_pb2.ProducePartition(topic=draw(st.text(max_size=10)), partition=draw(int32s), **data)


@st.composite
def messages(draw: st.DrawFn, kind: Message) -> bytes:
    """A request as the generated code writes it."""
    fields: dict[str, Any] = {"partitions": draw(st.lists(partitions(), max_size=4)), "acks": draw(int32s)}
    if kind is log_pb2.ProduceStreamRequest:
        fields["correlation_id"] = draw(uint64s)
    return kind(**fields).SerializeToString()


@st.composite
def numbers(draw: st.DrawFn) -> bytes:
    """A varint, some of them written longer than need be or too long, or without an end."""
    value = unsigned_varint(draw(uint64s))
    longer = draw(st.integers(-10, 8))
    if longer <= 0:
        return value
    return value[:-1] + bytes((value[-1] | 0x80,)) + b"\x80" * (longer - 1) + draw(st.sampled_from([b"\0", b"\1", b""]))


@st.composite
def fields(draw: st.DrawFn, inner: st.SearchStrategy[bytes], usual: list[tuple[int, int]]) -> bytes:
    """One field, most of them of the given numbers and wire types, and with a value to match."""
    if draw(st.integers(0, 3)):
        number, wire_type = draw(st.sampled_from(usual))
    else:
        number = draw(st.integers(1, 5) | st.sampled_from([0, 16, 2**29 - 1]))
        wire_type = draw(st.integers(0, 7))
    tag = unsigned_varint(number << 3 | wire_type)
    if wire_type == 0:
        return tag + draw(numbers())
    if wire_type == 2:
        content = draw(inner)
        length = draw(st.integers(-25, 5))
        if length == 1:
            return tag + draw(numbers()) + content
        return tag + unsigned_varint(max(len(content) + (length if length > 2 else 0), 0)) + content
    if wire_type == 3:
        return tag + draw(inner) + unsigned_varint(number << 3 | 4)
    return tag + {1: bytes(8), 5: bytes(4)}.get(wire_type, b"")


texts = st.binary(max_size=4) | st.text(max_size=4).map(str.encode)
partition_bytes = st.lists(fields(texts, [(1, 2), (2, 0), (3, 2)]), max_size=4).map(b"".join)
request_bytes = st.lists(fields(partition_bytes, [(1, 2), (2, 0)]), max_size=4).map(b"".join)
stream_request_bytes = st.lists(fields(partition_bytes, [(1, 0), (2, 2), (3, 0)]), max_size=4).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn, kind: Message) -> bytes:
    """A request as the generated code writes it, of which a few bytes are changed, or the end is missing."""
    data = bytearray(draw(messages(kind)))
    for _ in range(draw(st.integers(1, 3))):
        # The record bytes matter little.
        position = draw(st.integers(0, 60))
        if position < len(data):
            data[position] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


def said(message: Message, data: bytes) -> ProduceRequest | None:
    """Returns what the generated code finds; None for an error."""
    try:
        request = message.FromString(data)
    except DecodeError:
        return None
    found = []
    for item in request.partitions:
        kind = item.WhichOneof("data")
        found.append(PartitionRequest(item.topic, item.partition, kind and getattr(item, kind)))
    return ProduceRequest(getattr(request, "correlation_id", 0), request.acks, found)


def read(reader: Read, data: bytes) -> ProduceRequest | None:
    try:
        request = reader(data)
    except DecodeError:
        return None
    assert len(request.partitions) == len(list(request.partitions))
    return request._replace(partitions=list(request.partitions))


@pytest.mark.parametrize(("message", "reader"), KINDS)
@given(data=st.data())
def test_what_generated_code_writes_is_read(message: Message, reader: Read, data: st.DataObject) -> None:
    written = data.draw(messages(message))
    assert read(reader, written) == said(message, written)


@pytest.mark.parametrize(("message", "reader"), KINDS)
@given(written=request_bytes | stream_request_bytes)
@example(b"\x0a\x05\x0a\x01a\x10\x80\x01")
@example(b"\x12\x05\x0a\x01a\x10\x80\x01")
def test_any_fields_mean_what_generated_code_takes_them_for(message: Message, reader: Read, written: bytes) -> None:
    assert read(reader, written) == said(message, written)


@pytest.mark.parametrize(("message", "reader"), KINDS)
@given(data=st.data())
def test_damaged_requests_are_read_or_refused_as_generated_code_does(
    message: Message, reader: Read, data: st.DataObject
) -> None:
    written = data.draw(damaged(message))
    assert read(reader, written) == said(message, written)


@pytest.mark.parametrize(("message", "reader"), KINDS)
@given(written=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_as_generated_code_does(message: Message, reader: Read, written: bytes) -> None:
    assert read(reader, written) == said(message, written)


@pytest.mark.parametrize(("message", "reader"), KINDS)
def test_every_cut_is_read_or_refused_as_generated_code_does(message: Message, reader: Read) -> None:
    items = [log_pb2.ProducePartition(topic=f"t{number}", partition=200, batches=bytes(130)) for number in range(2)]
    written = message(partitions=items, acks=log_pb2.ACKS_LEADER).SerializeToString()
    for size in range(len(written)):
        assert read(reader, written[:size]) == said(message, written[:size])


@pytest.mark.parametrize(("message", "reader"), KINDS)
def test_record_batches_stay_where_they_came_in(message: Message, reader: Read) -> None:
    payloads = [bytes([number]) * 300_000 for number in range(12)]
    items = [
        log_pb2.ProducePartition(topic="t", partition=number, batches=data) for number, data in enumerate(payloads)
    ]
    written = message(partitions=items).SerializeToString()
    found = reader(written).partitions
    for item, payload in zip(found, payloads, strict=True):
        assert isinstance(item.data, memoryview) and item.data.obj is written and item.data == payload


@pytest.mark.parametrize(("message", "reader"), KINDS)
def test_very_many_partitions_are_counted_before_they_are_looked_at(
    message: Message, reader: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = message(partitions=[log_pb2.ProducePartition(topic="t", batches=b"x")] * 5_000).SerializeToString()
    assert read(reader, written) == said(message, written)
    monkeypatch.setattr(produce_request, "_convert", None)
    assert len(reader(written).partitions) == 5_000
