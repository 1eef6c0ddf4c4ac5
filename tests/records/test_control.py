"""The markers that end transactions."""

import pytest
from logserver_records.batch import next_batch
from logserver_records.codec import Record, decode_batch
from logserver_records.control import ControlType, EndTransactionMarker, build_marker, parse_marker
from logserver_records.errors import CorruptBatch

from .reference import decode

KEY = bytes.fromhex("0000 0001")
VALUE = bytes.fromhex("0000 00000007")


def record(key: bytes | None, value: bytes | None) -> Record:
    return Record(42, 5, key, value, ())


@pytest.mark.parametrize(("control_type", "key"), [(ControlType.ABORT, "00000000"), (ControlType.COMMIT, "00000001")])
def test_a_marker_is_a_transactional_control_batch_without_sequence(control_type, key):
    marker = EndTransactionMarker(control_type, 258)
    data = build_marker(
        marker, timestamp_ms=1_700_000_000_000, producer_id=9, producer_epoch=3, base_offset=77, leader_epoch=4
    )
    batch = decode(data)
    assert (batch.attributes, batch.leader_epoch) == (0x30, 4)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (9, 3, -1)
    (only,) = batch.records
    assert (only.offset, only.timestamp, only.headers) == (77, 1_700_000_000_000, ())
    assert only.key == bytes.fromhex(key)
    assert only.value == bytes.fromhex("0000 00000102")


@pytest.mark.parametrize("control_type", ControlType)
def test_a_marker_is_read_as_it_was_built(control_type):
    marker = EndTransactionMarker(control_type, 2**31 - 1)
    data = build_marker(marker, timestamp_ms=5, producer_id=9, producer_epoch=3)
    header = next_batch(data)
    assert header.is_control and header.is_transactional
    (only,) = decode_batch(data, max_decompressed_bytes=0)
    assert parse_marker(only) == marker
    assert marker.is_commit == (control_type == ControlType.COMMIT)


def test_higher_versions_and_what_they_append_are_read():
    read = parse_marker(record(bytes.fromhex("0005 0000 ff"), bytes.fromhex("0002 00000007 0000")))
    assert read == EndTransactionMarker(ControlType.ABORT, 7)


@pytest.mark.parametrize("number", [-1, 2, 3, 6, 32767])
def test_a_control_record_of_another_type_is_no_marker(number):
    assert parse_marker(record(b"\x00\x00" + number.to_bytes(2, "big", signed=True), None)) is None


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        (None, VALUE, "its key has no bytes, it takes 4"),
        (b"", VALUE, "its key has 0 bytes, it takes 4"),
        (KEY[:3], VALUE, "its key has 3 bytes, it takes 4"),
        (b"\xff\xff\x00\x01", VALUE, "its key has version -1"),
        (KEY, None, "its value has no bytes, it takes 6"),
        (KEY, VALUE[:5], "its value has 5 bytes, it takes 6"),
        (KEY, b"\x80\x00" + VALUE[2:], "its value has version -32768"),
    ],
)
def test_a_marker_that_is_damaged_is_corrupt(key, value, fault):
    with pytest.raises(CorruptBatch, match=f"control record at offset 42: {fault}"):
        parse_marker(record(key, value))
