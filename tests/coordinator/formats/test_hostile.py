"""Bytes that are no record are refused as such: no other exception, and no more memory than they are worth."""

import contextlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.formats import (
    ConsumerGroupPartitionMetadataValue,
    CorruptCoordinatorRecord,
    FormatError,
    UnknownRecordType,
    decode,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)

from ..memory import most_memory
from . import broker_vectors, class_vectors
from .vectors import Vector

VECTORS = [*broker_vectors.VECTORS, *class_vectors.VECTORS]
WITH_VALUE = [vector for vector in VECTORS if vector.value_data is not None]
every_vector = pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.made) for vector in VECTORS])
every_value = pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.made) for vector in WITH_VALUE])

HUGE = [bytes.fromhex(data) for data in ("ffffffff0f", "ffffffff07", "8080808008", "7fffffff")]
"""Varints of 2**32-1, 2**31-1 and 2**31, and the largest 32-bit number."""
MEMORY_PER_BYTE = 200
"""An empty string of one byte becomes a reference, an element of three bytes an object."""
MEMORY_AT_LEAST = 64 << 10


def varint(number: int) -> bytes:
    """Returns a number of up to 21 bits."""
    return bytes([number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14])


def read(key: bytes | None, value: bytes | None) -> None:
    """Reads a record that may be anything; what can be read can be written and read again."""
    try:
        decoded = decode(key, value)
    except FormatError as error:
        assert str(error)
        return
    again = decoded[1]
    if again is not None and not isinstance(again, ConsumerGroupPartitionMetadataValue):
        assert decode(encode_key(decoded[0]), encode_value(again)) == decoded


@every_vector
def test_every_truncated_key_is_corrupt(vector: Vector) -> None:
    for size in range(len(vector.key_data)):
        with pytest.raises(CorruptCoordinatorRecord):
            decode_key(vector.key_data[:size])


@every_value
def test_every_truncated_value_is_corrupt(vector: Vector) -> None:
    assert vector.value_data is not None
    for size in range(len(vector.value_data)):
        with pytest.raises(CorruptCoordinatorRecord):
            decode_value(vector.key, vector.value_data[:size])


@every_vector
@pytest.mark.parametrize("more", [b"\x00", b"\xff", bytes(16)])
def test_bytes_behind_the_last_field_are_corrupt(vector: Vector, more: bytes) -> None:
    with pytest.raises(CorruptCoordinatorRecord):
        decode_key(vector.key_data + more)
    if vector.value_data is not None:
        with pytest.raises(CorruptCoordinatorRecord):
            decode_value(vector.key, vector.value_data + more)


@every_vector
def test_a_record_with_any_byte_changed_is_read_or_refused(vector: Vector) -> None:
    for place in range(len(vector.key_data)):
        for byte in (0x00, 0x01, 0x7F, 0x80, 0xFF, vector.key_data[place] ^ 0x01):
            read(vector.key_data[:place] + bytes([byte]) + vector.key_data[place + 1 :], vector.value_data)
    data = vector.value_data or b""
    for place in range(len(data)):
        for byte in (0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF, data[place] ^ 0x01):
            read(vector.key_data, data[:place] + bytes([byte]) + data[place + 1 :])


@every_value
def test_a_huge_length_in_any_place_is_refused_without_memory_for_it(vector: Vector) -> None:
    assert vector.value_data is not None
    data = vector.value_data
    huge_lengths = (b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x80\x08", b"\x7f\xff\xff\xff")
    inputs = (
        data[:place] + huge + data[behind:]
        for place in range(2, len(data))
        for huge in huge_lengths
        for behind in (place, place + len(huge))
    )
    most = most_memory(lambda value: read(vector.key_data, value), inputs)
    assert most < MEMORY_AT_LEAST + MEMORY_PER_BYTE * len(data)


MANY = 1 << 16
COUNT = bytes.fromhex("818004")  # MANY as the length of a compact array.
LARGEST = {
    "empty topic names": (b"\x00\x10\x00\x01g\x00\x01r", b"\x00\x00" + COUNT + b"\x01" * MANY + bytes(17)),
    "empty protocols": (
        b"\x00\x05\x00\x01g\x00\x01m",
        bytes.fromhex("0000 00 00 01 01 01 00 00000000 00 01 00")
        + bytes.fromhex("89800c")  # Of the tagged field: its mark, 4, the count's 3, 3 for each, 1.
        + bytes.fromhex("01 00000000")
        + COUNT
        + b"\x01\x01\x00" * MANY
        + b"\x00",
    ),
    "topics without partitions": (
        b"\x00\x07\x00\x01g\x00\x01m",
        b"\x00\x00" + COUNT + b"".join([number.to_bytes(16) + b"\x01\x00" for number in range(MANY)]) + b"\x00",
    ),
    "tagged fields without bytes": (
        b"\x00\x03\x00\x01g",
        bytes.fromhex("0000 00000001 808002") + b"".join([varint(number) + b"\x00" for number in range(1, 1 << 15)]),
    ),
}
"""Records with as many of the smallest elements as there is room for."""


@pytest.mark.parametrize("kind", LARGEST)
def test_a_record_takes_memory_in_proportion_to_its_bytes(kind: str) -> None:
    key, value = LARGEST[kind]
    tracemalloc.start()
    try:
        with contextlib.suppress(CorruptCoordinatorRecord):
            decode(key, value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_PER_BYTE * len(value)


@pytest.mark.parametrize("kind", ["empty topic names", "empty protocols", "topics without partitions"])
def test_the_largest_records_are_whole(kind: str) -> None:
    assert decode(*LARGEST[kind])


@given(st.binary(max_size=80), st.binary(max_size=200))
def test_random_bytes_are_refused(key: bytes, value: bytes) -> None:
    read(key, value)


@given(st.sampled_from(WITH_VALUE), st.integers(0, 4), st.binary(max_size=120))
def test_random_bytes_of_a_known_type_and_version_are_read_or_refused(
    vector: Vector, version: int, value: bytes
) -> None:
    read(vector.key_data, version.to_bytes(2) + value)
    read(vector.key_data[:2] + value, None)


@given(st.sampled_from(WITH_VALUE), st.data())
def test_a_value_with_bytes_put_in_taken_out_or_changed_is_read_or_refused(vector: Vector, data: st.DataObject) -> None:
    value = bytearray(vector.value_data or b"")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(value)))
        end = data.draw(st.integers(start, min(len(value), start + 6)))
        value[start:end] = data.draw(st.binary(max_size=6))
    read(vector.key_data, bytes(value))


def test_a_record_without_key_is_corrupt() -> None:
    with pytest.raises(CorruptCoordinatorRecord, match="without key"):
        decode(None, b"\x00\x01")


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("0001 ffff 0001 74 00000000", "group takes -1 bytes"),
        ("0001 0001 67 ffff 00000000", "topic takes -1 bytes"),
        ("0001 0001 ff 0001 74 00000000", "group is not UTF-8"),
        ("0001 0001 67 0001 74 000000", "partition takes 4 bytes, 3 are left"),
        ("0001 0001 67 0001 74 00000000 00", "1 bytes are left behind the last field"),
        ("0003 0002 67", "group takes 2 bytes, 1 are left"),
    ],
)
def test_what_is_wrong_with_a_key_is_said(key: str, match: str) -> None:
    with pytest.raises(CorruptCoordinatorRecord, match=match):
        decode_key(bytes.fromhex(key))


def test_a_length_that_kafka_takes_for_negative_is_none_here_either() -> None:
    """40,000 as an unsigned length is -25,536 as the signed one that it is, even where the bytes would be there."""
    key = b"\x00\x01" + (40_000).to_bytes(2) + b"g" * 40_000 + b"\x00\x01t" + bytes(4)
    with pytest.raises(CorruptCoordinatorRecord, match="group takes -25536 bytes"):
        decode_key(key)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("0000 00000001 02 05 00 05 00", "tag 5 follows tag 5"),
        ("0000 00000001 01 00 09 0000000000000001 00", "1 bytes are left behind the last field"),
        ("0000 00000001 01 00 07 00000000000001", "metadata hash takes 8 bytes, 7 are left"),
        ("0000 00000001 01 05 7f 00", "tagged field 5 takes 127 bytes, 1 are left"),
        ("0000 00000001 80 80 80 80 80 00", "count of tagged fields is a number of more than 5 bytes"),
        ("0000 00000001 80 80 80 80 10", "count of tagged fields is a number of more than 32 bits"),
    ],
)
def test_what_is_wrong_with_a_tagged_field_is_said(value: str, match: str) -> None:
    with pytest.raises(CorruptCoordinatorRecord, match=match):
        decode_value(decode_key(bytes.fromhex("0003 0001 67")), bytes.fromhex(value))


def test_an_unknown_type_is_told_from_a_corrupt_record() -> None:
    with pytest.raises(UnknownRecordType):
        decode(bytes.fromhex("0063"), None)
    with pytest.raises(CorruptCoordinatorRecord):
        decode(bytes.fromhex("00"), None)
