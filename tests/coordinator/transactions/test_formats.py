"""The records of `__transaction_state`: Apache Kafka's are read and written byte for byte, anything else is refused."""

import contextlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.formats import (
    CorruptCoordinatorRecord,
    FormatError,
    UnknownRecordType,
    UnknownRecordVersion,
)
from logserver.coordinator.transactions.formats import (
    TopicPartitions,
    TransactionLogValue,
    TransactionState,
    decode,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)

from ..memory import most_memory
from .kafka_vectors import VECTORS, Vector

every_vector = pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.made) for vector in VECTORS])
WITH_VALUE = [vector for vector in VECTORS if vector.value_data is not None]
every_value = pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.made) for vector in WITH_VALUE])

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
int16s = st.integers(-(2**15), 2**15 - 1)
int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
topics = st.builds(TopicPartitions, texts, st.lists(int32s, max_size=4).map(tuple))
values = st.builds(
    TransactionLogValue,
    int64s,
    int16s,
    int32s,
    st.sampled_from(TransactionState),
    st.lists(topics, max_size=3).map(tuple),
    int64s,
    int64s,
    int64s,
    int64s,
    int16s,
    int16s,
    last_producer_epoch=st.just(-1),
)


@every_vector
def test_a_record_of_kafka_is_read(vector: Vector) -> None:
    assert decode(vector.key_data, vector.value_data) == (vector.transactional_id, vector.value)


@every_vector
def test_a_record_is_written_with_the_bytes_of_kafka(vector: Vector) -> None:
    assert encode_key(vector.transactional_id) == vector.key_data
    if vector.value is not None and vector.value_data is not None:
        assert encode_value(vector.value, vector.value_data[1]) == vector.value_data


def test_the_vectors_have_both_versions_and_every_state() -> None:
    found = {(vector.value_data[1], vector.value.state) for vector in WITH_VALUE if vector.value_data and vector.value}
    assert found == {(version, state) for version in (0, 1) for state in TransactionState}
    assert any(vector.value is None for vector in VECTORS)


@given(texts, values)
def test_what_is_written_is_read_as_it_was(transactional_id: str, value: TransactionLogValue) -> None:
    assert decode(encode_key(transactional_id), encode_value(value)) == (transactional_id, value)
    of_version_0 = value._replace(
        previous_producer_id=-1, next_producer_id=-1, client_transaction_version=0, next_producer_epoch=-1
    )
    assert decode_value(encode_value(value, 0)) == of_version_0


@given(values)
def test_the_last_epoch_is_not_written(value: TransactionLogValue) -> None:
    assert encode_value(value._replace(last_producer_epoch=3)) == encode_value(value)


def test_tagged_fields_of_a_later_release_are_passed_by() -> None:
    value = TransactionLogValue(5, 1, 60_000, TransactionState.EMPTY, (), 1, -1, 5, -1, 2)
    data = encode_value(value)
    tags = bytes.fromhex("02 00 08 0000000000000005 02 02 0002")
    assert data.endswith(tags)
    more = bytes.fromhex("04 00 08 0000000000000005 02 02 0002 07 01 aa 8001 00")
    assert decode_value(data[: -len(tags)] + more) == value


def test_no_partitions_are_null_in_the_first_state_only() -> None:
    value = TransactionLogValue(5, 1, 60_000, TransactionState.EMPTY)
    place = 2 + 8 + 2 + 4 + 1
    assert encode_value(value)[place] == 0
    assert encode_value(value._replace(state=TransactionState.COMPLETE_ABORT))[place] == 1
    assert encode_value(value, 0)[place : place + 4] == b"\xff\xff\xff\xff"
    # Read either way.
    data = encode_value(value._replace(state=TransactionState.COMPLETE_ABORT))
    assert decode_value(data[:place] + b"\x00" + data[place + 1 :]).partitions == ()


@pytest.mark.parametrize("number", [-1, 1, 2, 256, 32767])
def test_another_type_of_key_is_unknown(number: int) -> None:
    with pytest.raises(UnknownRecordType) as refused:
        decode_key(number.to_bytes(2, signed=True) + b"\x00\x01t")
    assert refused.value.record_type == number
    assert not isinstance(refused.value, UnknownRecordVersion)


@every_value
@pytest.mark.parametrize("version", [-1, 2, 32767])
def test_another_version_of_a_value_is_unknown(vector: Vector, version: int) -> None:
    assert vector.value_data is not None
    with pytest.raises(UnknownRecordVersion) as refused:
        decode_value(version.to_bytes(2, signed=True) + vector.value_data[2:])
    assert refused.value.version == version


@pytest.mark.parametrize("number", [-1, 6, 7, 8, 127])
def test_a_state_that_no_log_has_is_corrupt(number: int) -> None:
    data = bytearray(encode_value(TransactionLogValue(5, 1, 60_000, TransactionState.EMPTY)))
    data[16:17] = number.to_bytes(1, signed=True)
    with pytest.raises(CorruptCoordinatorRecord, match=f"the state is {number}"):
        decode_value(bytes(data))


@every_vector
def test_every_truncated_record_is_corrupt(vector: Vector) -> None:
    for size in range(len(vector.key_data)):
        with pytest.raises(CorruptCoordinatorRecord):
            decode_key(vector.key_data[:size])
    for size in range(len(vector.value_data or b"")):
        with pytest.raises(CorruptCoordinatorRecord):
            decode_value((vector.value_data or b"")[:size])


@every_vector
@pytest.mark.parametrize("more", [b"\x00", b"\xff", bytes(16)])
def test_bytes_behind_the_last_field_are_corrupt(vector: Vector, more: bytes) -> None:
    with pytest.raises(CorruptCoordinatorRecord):
        decode_key(vector.key_data + more)
    if vector.value_data is not None:
        with pytest.raises(CorruptCoordinatorRecord):
            decode_value(vector.value_data + more)


def read(data: bytes) -> None:
    """Reads a value that may be anything; what can be read can be written and read again."""
    try:
        value = decode_value(data)
    except FormatError as error:
        assert str(error)
        return
    assert decode_value(encode_value(value)) == value


@every_value
def test_a_record_with_any_byte_changed_is_read_or_refused(vector: Vector) -> None:
    data = vector.value_data or b""
    for place in range(len(data)):
        for byte in (0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF, data[place] ^ 0x01):
            read(data[:place] + bytes([byte]) + data[place + 1 :])


@every_value
def test_a_huge_length_in_any_place_takes_no_memory(vector: Vector) -> None:
    data = vector.value_data or b""
    inputs = (
        data[:place] + huge + data[place + len(huge) :]
        for place in range(2, len(data))
        for huge in map(bytes.fromhex, ("ffffffff0f", "ffffffff07", "7fffffff"))
    )
    assert most_memory(read, inputs) < (64 << 10) + 200 * len(data)


@pytest.mark.parametrize("version", [0, 1])
def test_a_record_takes_memory_in_proportion_to_its_bytes(version: int) -> None:
    value = TransactionLogValue(5, 1, 1, TransactionState.ONGOING, (TopicPartitions("", ()),) * 20_000)
    data = encode_value(value, version)
    tracemalloc.start()
    try:
        with contextlib.suppress(CorruptCoordinatorRecord):
            decode_value(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 * len(data)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    read(data)
    read(b"\x00\x01" + data)
    read(b"\x00\x00" + data)
    with contextlib.suppress(FormatError):
        decode_key(data)


def test_a_record_without_key_is_corrupt() -> None:
    with pytest.raises(CorruptCoordinatorRecord, match="without key"):
        decode(None, b"\x00\x01")


@pytest.mark.parametrize(
    "value",
    [
        TransactionLogValue(2**63, 1, 1, TransactionState.EMPTY),
        TransactionLogValue(1, 2**15, 1, TransactionState.EMPTY),
        TransactionLogValue(1, 1, 2**31, TransactionState.EMPTY),
        TransactionLogValue(1, 1, 1, TransactionState.ONGOING, (TopicPartitions("t", (2**31,)),)),
        TransactionLogValue(1, 1, 1, TransactionState.EMPTY, previous_producer_id=2**63),
        TransactionLogValue(1, 1, 1, TransactionState.EMPTY, client_transaction_version=2**15),
    ],
)
def test_a_number_out_of_its_range_is_refused(value: TransactionLogValue) -> None:
    with pytest.raises(ValueError, match="a number is out of its range"):
        encode_value(value)


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="the transactional id has 32768 bytes"):
        encode_key("x" * 32_768)
    with pytest.raises(ValueError, match="the topic has 32768 bytes"):
        encode_value(TransactionLogValue(1, 1, 1, TransactionState.ONGOING, (TopicPartitions("x" * 32_768, (1,)),)))


def test_there_are_two_versions() -> None:
    with pytest.raises(ValueError, match="version 2 is not known here"):
        encode_value(TransactionLogValue(1, 1, 1, TransactionState.EMPTY), 2)
