"""What Apache Kafka wrote is read as what it says, and what is written has its bytes."""

import pytest

from logserver.coordinator.formats import (
    UnknownRecordType,
    UnknownRecordVersion,
    decode,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)

from . import broker_vectors, class_vectors, share_vectors
from .vectors import Vector

VECTORS = [*broker_vectors.VECTORS, *class_vectors.VECTORS, *share_vectors.VECTORS]
every_vector = pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.made) for vector in VECTORS])


@every_vector
def test_a_record_of_kafka_is_read(vector: Vector) -> None:
    decoded = decode(vector.key_data, vector.value_data)
    assert decoded == (vector.key, vector.value)
    # Named tuples of different types are equal when their fields are.
    assert (type(decoded[0]), type(decoded[1])) == (type(vector.key), type(vector.value))


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.made) for vector in VECTORS if vector.is_written])
def test_a_record_is_written_with_the_bytes_of_kafka(vector: Vector) -> None:
    assert encode_key(vector.key) == vector.key_data
    if vector.value is not None:
        assert encode_value(vector.value) == vector.value_data


def test_the_vectors_have_every_type_and_every_version() -> None:
    types = {(vector.key_data[:2], vector.value_data[:2]) for vector in VECTORS if vector.value_data is not None}
    commits = {(1, version) for version in range(5)} | {(0, 0)}
    classic = {(2, version) for version in range(5)}
    others = {(number, 0) for number in (*range(3, 9), *range(10, 17))}
    assert {
        (int.from_bytes(number), int.from_bytes(version)) for number, version in types
    } == commits | classic | others


@pytest.mark.parametrize("number", [9, *range(17, 26), 256, -1, -32768, 32767])
def test_every_other_type_is_unknown(number: int) -> None:
    with pytest.raises(UnknownRecordType) as refused:
        decode_key(number.to_bytes(2, signed=True) + b"\x00\x01g")
    assert refused.value.record_type == number


@every_vector
@pytest.mark.parametrize("version", [-1, 5, 32767])
def test_every_other_version_is_unknown(vector: Vector, version: int) -> None:
    with pytest.raises(UnknownRecordVersion) as refused:
        decode_value(vector.key, version.to_bytes(2, signed=True) + (vector.value_data or bytes(40))[2:])
    assert refused.value.version == version
    # Type 0 is read as type 1.
    assert refused.value.record_type == (vector.key_data[1] or 1)
