"""Reading the records of a batch, also of one that is not what it says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_records import codec
from logserver_records.codec import Record, build_batch, decode_batch
from logserver_records.compression import Compression
from logserver_records.errors import CorruptBatch, DecompressionLimitExceeded, UnsupportedBatch

from .reference import (
    LOG_APPEND_TIME,
    RefBatch,
    RefRecord,
    compress,
    encode,
    encode_record,
    encode_records,
    varint,
)
from .strategies import MAX_INT64, batches

ALL = 1 << 30
LONGEST = 2**63 - 1


def plain(record: RefRecord) -> Record:
    return Record(record.offset, record.timestamp, record.key, record.value, record.headers)


def with_tuples(records: list[Record]) -> list[Record]:
    return [record._replace(headers=tuple(record.headers)) for record in records]


def one_record(body: bytes) -> bytes:
    """A batch of one record with this body, whose length is right."""
    return encode(RefBatch((), base_offset=7, record_count=1), varint(len(body)) + body)


def record_body(*, key: bytes = b"\x01", value: bytes = b"\x01", headers: bytes = b"\x00") -> bytes:
    return b"\x00\x00\x00" + key + value + headers


@given(batches(), st.integers(0, 20), st.sampled_from([bytes, bytearray, memoryview]))
def test_records_of_the_reference_are_read(batch, lead, kind):
    data = encode(batch)
    records = decode_batch(
        kind(bytes(lead) + data + b"more"), lead, max_decompressed_bytes=len(encode_records(batch)), verify_crc=True
    )
    expected = [plain(record) for record in batch.records]
    if batch.attributes & LOG_APPEND_TIME:
        last = max((record.timestamp for record in batch.records), default=-1)
        expected = [record._replace(timestamp_ms=last) for record in expected]
    assert with_tuples(records) == expected
    assert all(type(record) is Record for record in records)


def test_an_emptied_batch_has_no_records():
    batch = RefBatch((), base_offset=5, last_offset_delta=3, producer_id=9)
    assert decode_batch(encode(batch), max_decompressed_bytes=0) == []
    for compression in Compression:
        packed = RefBatch((), base_offset=5, last_offset_delta=3, attributes=compression)
        assert decode_batch(encode(packed), max_decompressed_bytes=0) == []
        assert decode_batch(encode(packed, b""), max_decompressed_bytes=0) == []


@pytest.mark.parametrize("compression", Compression)
def test_an_emptied_batch_with_bytes_left_is_corrupt(compression):
    batch = RefBatch((RefRecord(5, 1),), base_offset=5, record_count=0, attributes=compression)
    with pytest.raises(CorruptBatch, match="7 bytes are left behind the last of 0 records"):
        decode_batch(encode(batch), max_decompressed_bytes=100)


def test_nothing_that_is_returned_refers_to_the_buffer():
    data = bytearray(build_batch([(1, b"key", b"value", [("h", b"x")])]))
    records = decode_batch(data, max_decompressed_bytes=0)
    data[61:] = bytes(len(data) - 61)
    data.clear()
    assert records == [Record(0, 1, b"key", b"value", [("h", b"x")])]


def test_no_view_of_the_buffer_is_kept_after_an_error():
    for compression in Compression:
        batch = RefBatch((RefRecord(0, 1),), record_count=5, last_offset_delta=4, attributes=compression)
        data = bytearray(encode(batch))
        with pytest.raises(CorruptBatch) as caught:
            decode_batch(data, max_decompressed_bytes=100)
        data.clear()
        assert caught.value


def test_the_crc_is_checked_only_if_asked_for():
    data = bytearray(build_batch([(1, b"key", b"value", ())]))
    data[-2] ^= 1
    assert decode_batch(data, max_decompressed_bytes=0)[0].value != b"value"
    with pytest.raises(CorruptBatch, match="wrong CRC"):
        decode_batch(data, max_decompressed_bytes=0, verify_crc=True)


@pytest.mark.parametrize("compression", [compression for compression in Compression if compression])
def test_the_limit_holds_for_what_comes_out(compression):
    batch = RefBatch(tuple(RefRecord(number, 1, None, bytes(100)) for number in range(10)), attributes=compression)
    size = len(encode_records(batch))
    assert len(decode_batch(encode(batch), max_decompressed_bytes=size)) == 10
    with pytest.raises(DecompressionLimitExceeded, match=f"{compression.label} data .*limit (of|is) {size - 1} bytes"):
        decode_batch(encode(batch), max_decompressed_bytes=size - 1)


def test_the_limit_does_not_concern_what_is_not_compressed():
    assert len(decode_batch(build_batch([(1, None, bytes(1000), ())]), max_decompressed_bytes=0)) == 1


@pytest.mark.parametrize("number", [5, 6, 7])
def test_an_unknown_codec_is_unsupported(number):
    batch = RefBatch((RefRecord(0, 1),), attributes=number)
    with pytest.raises(UnsupportedBatch, match=f"unknown compression codec {number}"):
        decode_batch(encode(batch, b"0123456"), max_decompressed_bytes=100)


@pytest.mark.parametrize("compression", Compression)
def test_attributes_that_mean_nothing_yet_change_nothing(compression):
    batch = RefBatch((RefRecord(0, 1, b"k", b"v"),), attributes=-(2**15) | 0x7F80 | compression)
    assert decode_batch(encode(batch), max_decompressed_bytes=100) == [Record(0, 1, b"k", b"v", ())]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("count", [4, 1000, 2**31 - 1])
def test_a_count_beyond_the_bytes_is_corrupt(compression, count):
    records = tuple(RefRecord(number, 1, b"some", b"bytes") for number in range(3))
    batch = RefBatch(records, attributes=compression, record_count=count, last_offset_delta=count - 1)
    with pytest.raises(
        CorruptBatch, match=rf"claims {count} records|record 4 of {count}, at byte 48 .*: its bytes end"
    ):
        decode_batch(encode(batch), max_decompressed_bytes=100)


@pytest.mark.parametrize("compression", Compression)
def test_a_count_below_the_bytes_is_corrupt(compression):
    records = tuple(RefRecord(number, 1, b"some", b"bytes") for number in range(3))
    with pytest.raises(CorruptBatch, match="16 bytes are left behind the last of 2 records"):
        decode_batch(encode(RefBatch(records, attributes=compression, record_count=2)), max_decompressed_bytes=100)


@pytest.mark.parametrize("compression", Compression)
def test_records_cut_anywhere_are_corrupt(compression):
    records = (
        RefRecord(0, 1, b"key", b"value", (("name", b"data"), ("null", None))),
        RefRecord(1, 300, None, bytes(70)),
    )
    batch = RefBatch(records, attributes=compression)
    whole = encode_records(batch)
    for size in range(len(whole)):
        with pytest.raises(CorruptBatch, match=r"record [12] of 2, at byte \d+ of the records|can't hold them"):
            decode_batch(encode(batch, compress(compression, whole[:size])), max_decompressed_bytes=1000)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (record_body(key=varint(LONGEST)), f"the key claims {LONGEST} bytes, 2 are left"),
        (record_body(key=varint(LONGEST - 40)), f"the key claims {LONGEST - 40} bytes, 2 are left"),
        # Ten bytes hold 70 bits; those beyond the 64th don't count.
        (record_body(key=b"\xfe" + b"\xff" * 8 + b"\x7f"), f"the key claims {LONGEST} bytes, 2 are left"),
        (record_body(key=varint(2**40)), f"the key claims {2**40} bytes, 2 are left"),
        (record_body(key=varint(3)), "the key claims 3 bytes, 2 are left"),
        (record_body(value=varint(LONGEST)), f"the value claims {LONGEST} bytes, 1 are left"),
        (record_body(value=varint(2)), "the value claims 2 bytes, 1 are left"),
        (record_body(headers=varint(LONGEST)), "its bytes end inside the length of the key of header 1"),
        (record_body(headers=varint(1)), "its bytes end inside the length of the key of header 1"),
        (record_body(headers=varint(-1)), "a header count of -1"),
        (record_body(headers=varint(-(2**63))), f"a header count of {-(2**63)}"),
        (record_body(headers=varint(1) + varint(-1) + varint(-1)), "the key of header 1 has a length of -1"),
        (record_body(headers=varint(1) + varint(LONGEST)), f"the key of header 1 claims {LONGEST} bytes, 0 are left"),
        (record_body(headers=varint(1) + varint(1) + b"a"), "its bytes end inside the length of the value of header 1"),
        (
            record_body(headers=varint(2) + varint(1) + b"a" + varint(-1) + varint(1) + b"b" + varint(LONGEST)),
            f"the value of header 2 claims {LONGEST} bytes, 0 are left",
        ),
        (b"\x80" + record_body()[1:], "attributes of 128, where no client writes anything but 0"),
        (record_body() + b"x", "it claims 7 bytes, its fields take 6"),
        (record_body(headers=b"\x80"), "its bytes end inside the header count"),
        (b"\x00\x00" + b"\x80" * 12, "the offset delta is a number of more than 10 bytes"),
    ],
)
def test_the_error_names_the_record_and_the_field(body, fault):
    with pytest.raises(CorruptBatch) as caught:
        decode_batch(one_record(body), max_decompressed_bytes=0)
    assert str(caught.value) == (
        f"corrupt record batch: record 1 of 1, at byte 0 of the records (base offset 7): {fault}"
    )


def test_a_header_key_that_is_no_utf_8_is_read_with_replacement_characters_as_java_does():
    body = record_body(key=varint(1) + b"k", headers=varint(1) + varint(3) + b"a\xffb" + varint(-1))
    (record,) = decode_batch(one_record(body), max_decompressed_bytes=0)
    plain = record_body(key=varint(1) + b"k", headers=varint(1) + varint(3) + b"a-b" + varint(-1))
    (expected,) = decode_batch(one_record(plain), max_decompressed_bytes=0)
    assert record.headers == [("a\N{REPLACEMENT CHARACTER}b", None)]
    assert record[:4] == expected[:4]


def test_the_error_names_a_later_record():
    good = encode_record(RefRecord(0, 1, b"key", b"value"), 0, 1)
    bad = good[:4] + varint(50) + good[5:]
    with pytest.raises(
        CorruptBatch, match=r"record 3 of 4, at byte 30 .*base offset 9\): the key claims 50 bytes, 25 are"
    ):
        decode_batch(
            encode(RefBatch((), base_offset=9, record_count=4, last_offset_delta=3), good + good + bad + good),
            max_decompressed_bytes=0,
        )


@pytest.mark.parametrize("length", [0, 5, 7, -1, LONGEST, -LONGEST])
def test_a_record_that_is_not_as_long_as_it_says_is_corrupt(length):
    body = varint(length) + record_body() + b"\x00\x00\x00"
    with pytest.raises(CorruptBatch, match=f"it claims {length} bytes, its fields take 6"):
        decode_batch(encode(RefBatch((), record_count=1), body), max_decompressed_bytes=0)


def batch_of_offsets(*offsets: int, last_offset_delta: int) -> bytes:
    records = tuple(RefRecord(10 + offset, 1) for offset in offsets)
    return encode(RefBatch(records, base_offset=10, last_offset_delta=last_offset_delta))


@pytest.mark.parametrize("offsets", [(0, 1, 2), (0, 2), (1,), (3,), (0, 3), (1, 2, 3)])
def test_offsets_may_have_gaps_as_compaction_leaves_them(offsets):
    records = decode_batch(batch_of_offsets(*offsets, last_offset_delta=3), max_decompressed_bytes=0)
    assert [record.offset for record in records] == [10 + offset for offset in offsets]


@pytest.mark.parametrize("offsets", [(1, 0), (0, 0), (0, 2, 1), (0, 2, 2, 3), (3, 2, 1, 0)])
def test_offsets_that_do_not_grow_are_corrupt(offsets):
    with pytest.raises(CorruptBatch, match=re.escape("record batch at offset 10 whose records' offsets don't grow")):
        decode_batch(batch_of_offsets(*offsets, last_offset_delta=3), max_decompressed_bytes=0)


@pytest.mark.parametrize("offsets", [(-1,), (-1, 0), (4,), (0, 4), (-5, 9), (-(2**31), 0)])
def test_offsets_outside_of_the_batch_are_corrupt(offsets):
    expected = f"offsets 10 to 13 whose records have offsets {10 + offsets[0]} to {10 + offsets[-1]}"
    with pytest.raises(CorruptBatch, match=expected):
        decode_batch(batch_of_offsets(*offsets, last_offset_delta=3), max_decompressed_bytes=0)


def test_one_offset_too_many_in_a_row_is_corrupt():
    batch = RefBatch((RefRecord(1, 1), RefRecord(2, 1)), base_offset=0, last_offset_delta=1)
    with pytest.raises(CorruptBatch, match="offsets 0 to 1 whose records have offsets 1 to 2"):
        decode_batch(encode(batch), max_decompressed_bytes=0)


@pytest.mark.parametrize(("base", "time"), [(MAX_INT64, -(2**63)), (-1, MAX_INT64), (0, -(2**63)), (MAX_INT64, -1)])
def test_timestamp_deltas_wrap_around_as_in_java(base, time):
    batch = RefBatch((RefRecord(0, time),), base_timestamp=base)
    assert decode_batch(encode(batch), max_decompressed_bytes=0)[0].timestamp_ms == time


@pytest.mark.parametrize("size", range(len(build_batch([(1, b"k", b"v", ())]))))
def test_a_batch_cut_anywhere_is_corrupt(size):
    with pytest.raises(CorruptBatch, match="truncated"):
        decode_batch(build_batch([(1, b"k", b"v", ())])[:size], max_decompressed_bytes=0)


@pytest.mark.parametrize("compression", Compression)
def test_the_codec_finds_zeros_behind_the_batch(monkeypatch, compression):
    original = codec.DefaultRecordBatch
    behind = []

    def recording(batch):
        behind.append(bytes(batch.obj[len(batch) :]))
        return original(batch)

    monkeypatch.setattr(codec, "DefaultRecordBatch", recording)
    data = build_batch([(1, b"k", b"v", ())], compression=compression)
    # Bytes that would make a number go on, if they were looked at.
    decode_batch(data + b"\xff" * 20, max_decompressed_bytes=100)
    assert behind == [bytes(16)]


def test_real_lack_of_memory_is_not_called_corrupt(monkeypatch):
    class Starved:
        def __init__(self, batch):
            pass

        def __iter__(self):
            raise MemoryError

    monkeypatch.setattr(codec, "DefaultRecordBatch", Starved)
    with pytest.raises(MemoryError):
        decode_batch(build_batch([(1, b"k", b"v", ())]), max_decompressed_bytes=0)
