"""Messages written by hand are what the generated code reads, and the other way round."""

from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from logserver_client._consume.wire import decode_response
from logserver_client._produce.wire import encode_request
from logserver_records.varint import unsigned_varint
from logserverpb.v1 import common_pb2, log_pb2

partitions = st.lists(st.tuples(st.text(max_size=20), st.integers(0, 2**31 - 1), st.binary(max_size=300)), max_size=4)


@settings(deadline=None)
@given(st.integers(1, 2**64 - 1), st.sampled_from(log_pb2.Acks.values()), partitions)
def test_a_request_is_read_back_by_the_generated_code(
    correlation_id: int, acks: log_pb2.Acks, parts: list[tuple[str, int, bytes]]
) -> None:
    expected = log_pb2.ProduceStreamRequest(
        correlation_id=correlation_id,
        acks=acks,
        partitions=[log_pb2.ProducePartition(topic=t, partition=p, batches=b) for t, p, b in parts],
    )
    assert log_pb2.ProduceStreamRequest.FromString(encode_request(correlation_id, acks, parts)) == expected


def test_a_large_batch_has_a_length_of_several_digits() -> None:
    batches = bytes(range(256)) * 1200
    message = log_pb2.ProduceStreamRequest.FromString(encode_request(7, 0, [("t", 3, batches)]))
    assert message.partitions[0].batches == batches
    assert unsigned_varint(300) == b"\xac\x02"


answers = st.lists(
    st.builds(
        log_pb2.PartitionData,
        topic=st.text(max_size=20),
        partition=st.integers(0, 2**31 - 1),
        error=st.none() | st.builds(common_pb2.Error, code=st.integers(-1, 100), name=st.text(max_size=9)),
        high_watermark=st.integers(-1, 2**63 - 1),
        next_offset=st.integers(-1, 2**63 - 1),
        batches=st.binary(max_size=300),
        generation=st.integers(0, 2**64 - 1),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(answers)
def test_an_answer_of_the_generated_code_is_read(partitions: list[log_pb2.PartitionData]) -> None:
    message = log_pb2.SubscribeResponse(partitions=partitions).SerializeToString()
    found = decode_response(message)
    for data, batches in found:
        assert not data.batches
        data.batches = bytes(batches)
    assert [data for data, _ in found] == partitions


def test_fields_of_a_later_version_are_passed_over() -> None:
    # Number 100: a varint, 8 bytes, text, 4 bytes.
    unknown = b"\xa0\x06\x96\x01\xa1\x06" + bytes(8) + b"\xa2\x06\x02hi\xa5\x06" + bytes(4)
    partition = log_pb2.PartitionData(topic="t", batches=b"records").SerializeToString() + unknown
    ((data, batches),) = decode_response(unknown + b"\x0a" + bytes([len(partition)]) + partition + unknown)
    assert (data.topic, bytes(batches)) == ("t", b"records")


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_an_error(message: bytes) -> None:
    with suppress(DecodeError):
        decode_response(message)


@pytest.mark.parametrize("cut", [1, 2, 5, 20])
def test_a_message_that_is_cut_short_is_an_error(cut: int) -> None:
    whole = log_pb2.SubscribeResponse(partitions=[log_pb2.PartitionData(topic="t", batches=b"x" * 30)])
    with pytest.raises(DecodeError):
        decode_response(whole.SerializeToString()[:-cut])
