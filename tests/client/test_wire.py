"""Hand-written messages are what the generated code reads."""

from hypothesis import given
from hypothesis import strategies as st
from logserver_client._produce.wire import encode_request, varint
from logserverpb.v1 import log_pb2

partitions = st.lists(st.tuples(st.text(max_size=20), st.integers(0, 2**31 - 1), st.binary(max_size=300)), max_size=4)


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
    assert varint(300) == b"\xac\x02"
