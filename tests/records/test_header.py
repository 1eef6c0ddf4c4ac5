"""The header of a batch: view, CRC, stamping and rewriting, each against the independent codec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_records.batch import (
    HEADER_SIZE,
    STAMP_SIZE,
    BatchHeader,
    check_crc,
    compute_crc,
    next_batch,
    read_header,
    reheader,
    stamp,
    stamped_header,
    with_append_time,
)
from logserver_records.errors import CorruptBatch

from .reference import LOG_APPEND_TIME, RefBatch, RefRecord, decode, encode, encode_records
from .strategies import MAX_INT64, batches

BATCH = RefBatch((RefRecord(0, 5, b"key", b"value"),))


def header_of(**fields: int) -> BatchHeader:
    return read_header(encode(BATCH))._replace(**fields)


@given(batches())
def test_the_view_shows_what_is_in_the_bytes(batch):
    data = encode(batch)
    seen = decode(data)
    header = read_header(data)
    assert header == next_batch(data)
    assert header == (
        seen.base_offset,
        len(data) - 12,
        seen.leader_epoch,
        2,
        seen.crc,
        seen.attributes,
        seen.last_offset_delta,
        seen.base_timestamp,
        seen.max_timestamp,
        seen.producer_id,
        seen.producer_epoch,
        seen.base_sequence,
        len(seen.records),
    )
    assert header.size == len(data)
    assert header.last_offset == seen.base_offset + seen.last_offset_delta
    assert header.next_offset == header.last_offset + 1
    assert header.compression == seen.attributes & 7
    assert header.is_log_append_time == bool(seen.attributes & 0x08)
    assert header.is_transactional == bool(seen.attributes & 0x10)
    assert header.is_control == bool(seen.attributes & 0x20)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_view_reads_any_buffer_at_any_position(kind):
    data = encode(BATCH)
    assert read_header(kind(b"abc" + data), 3) == read_header(data)
    assert next_batch(kind(b"abc" + data + b"abc"), 3) == read_header(data)


@pytest.mark.parametrize("size", range(HEADER_SIZE))
def test_fewer_bytes_than_a_header_are_corrupt(size):
    with pytest.raises(CorruptBatch, match=f"{size} are left"):
        read_header(b"abc" + encode(BATCH)[:size], 3)


@pytest.mark.parametrize(
    ("base", "delta", "last"),
    [
        (-1, 5, -1),
        (0, 0, 0),
        (10, 4, 14),
        (2**31 - 1, 0, 2**31 - 1),
        (2**31 - 1, 1, 0),
        (2**31 - 3, 10, 7),
    ],
)
def test_sequences_wrap_behind_the_largest_to_zero(base, delta, last):
    assert header_of(base_sequence=base, last_offset_delta=delta).last_sequence == last


@given(batches(), st.integers(0, 50))
def test_the_crc_is_that_of_the_reference(batch, lead):
    data = encode(batch)
    header = read_header(data)
    buffer = bytes(lead) + data + b"more"
    assert compute_crc(buffer, lead, len(data)) == decode(data).crc
    check_crc(buffer, lead, header)


@pytest.mark.parametrize("position", range(21, len(encode(BATCH))))
def test_any_changed_byte_behind_the_crc_is_noticed(position):
    data = bytearray(encode(BATCH))
    data[position] ^= 0x01
    with pytest.raises(CorruptBatch, match=r"wrong CRC: it says 0x[0-9a-f]{8}, its .* bytes give 0x[0-9a-f]{8}"):
        check_crc(data, 0, read_header(data))


@given(batches(), st.integers(0, MAX_INT64), st.integers(-1, 2**31 - 1))
def test_stamping_changes_offset_and_leader_epoch_and_nothing_else(batch, base_offset, leader_epoch):
    data = encode(batch)
    header = read_header(data)
    stamped = stamped_header(header, base_offset, leader_epoch) + data[HEADER_SIZE:]
    assert stamp(header, base_offset, leader_epoch) == stamped[:STAMP_SIZE]
    assert stamped[12:16] == leader_epoch.to_bytes(4, "big", signed=True)
    assert stamped[:8] == base_offset.to_bytes(8, "big")
    assert stamped[8:12] == data[8:12]
    assert stamped[16:] == data[16:]
    check_crc(stamped, 0, read_header(stamped))


@given(batches(), st.integers(0, 2**62))
def test_append_time_is_the_time_of_every_record(batch, now_ms):
    data = b"abc" + encode(batch)
    changed = with_append_time(data, 3, read_header(data, 3), now_ms)
    stored = stamped_header(changed, batch.base_offset, batch.leader_epoch) + data[3 + HEADER_SIZE :]
    seen = decode(stored)
    before = decode(data[3:])
    assert seen.attributes == before.attributes | LOG_APPEND_TIME
    assert seen.max_timestamp == now_ms
    assert {record.timestamp for record in seen.records} <= {now_ms}
    assert [(r.offset, r.key, r.value, r.headers) for r in seen.records] == [
        (r.offset, r.key, r.value, r.headers) for r in before.records
    ]
    assert (seen.base_timestamp, seen.producer_id, seen.base_sequence) == (
        before.base_timestamp,
        before.producer_id,
        before.base_sequence,
    )


@given(batches(), st.data())
def test_a_header_over_other_records_gets_length_and_crc(batch, data):
    kept = RefBatch(
        records=tuple(data.draw(st.permutations(batch.records))[:2]),
        base_offset=batch.base_offset,
        attributes=0,
        base_timestamp=7,
    )
    kept = RefBatch(**{**vars(kept), "records": tuple(sorted(kept.records, key=lambda record: record.offset))})
    header = read_header(encode(batch))._replace(attributes=0, base_timestamp=7, record_count=len(kept.records))
    seen = decode(reheader(header, encode_records(kept)))
    assert seen.records == kept.records
    assert (seen.base_offset, seen.leader_epoch) == (batch.base_offset, batch.leader_epoch)
    assert (seen.producer_id, seen.producer_epoch, seen.base_sequence) == (
        batch.producer_id,
        batch.producer_epoch,
        batch.base_sequence,
    )
