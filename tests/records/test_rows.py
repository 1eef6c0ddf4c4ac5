"""Rows are the records that `decode_batch` returns, in the caller's own tuples."""

from typing import NamedTuple

import pytest
from logserver_records.batch import HEADER_SIZE, LENGTH_OVERHEAD, next_batch
from logserver_records.codec import build_batch, decode_batch, decode_rows, rebuild_batch
from logserver_records.compression import Compression
from logserver_records.errors import CorruptBatch


class Row(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: object


RECORDS = [
    (5, b"k", b"v", ()),
    (3, None, None, [("name", b"x"), ("name", None)]),
    (9, b"", b"", ()),
]


@pytest.mark.parametrize("codec", list(Compression))
def test_rows_are_the_records_with_their_place_before_them(codec):
    batch = build_batch(RECORDS, compression=codec, base_offset=40)
    (rows,) = decode_rows(batch, 0, Row, "t", 7, max_decompressed_bytes=1000)
    assert rows == [("t", 7, *record) for record in decode_batch(batch, max_decompressed_bytes=1000)]
    assert all(type(row) is Row for row in rows)
    assert [row.offset for row in rows] == [40, 41, 42]


def test_rows_of_a_header_key_that_is_no_utf_8():
    batch = bytearray(build_batch([(0, None, b"v", [("a-b", None)])]))
    at = batch.index(b"a-b")
    batch[at + 1] = 0xFF
    ((row,),) = decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1000)
    assert row == ("t", 0, 0, 0, None, b"v", [("a\N{REPLACEMENT CHARACTER}b", None)])


def test_rows_of_a_damaged_batch_are_refused():
    batch = bytearray(build_batch(RECORDS))
    batch[HEADER_SIZE] = 0xFF
    with pytest.raises(CorruptBatch, match="record 1 of 3"):
        next(decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1000))
    with pytest.raises(CorruptBatch, match="wrong CRC"):
        next(decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1000, verify_crc=True))


def many(count):
    return [(number, None, b"%03d" % number, ()) for number in range(count)]


@pytest.mark.parametrize("count", [499, 500, 501, 1000, 1234])
def test_many_rows_come_some_at_a_time(count):
    batch = build_batch(many(count), base_offset=7)
    pieces = list(decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1 << 20))
    assert [len(piece) for piece in pieces[:-1]] == [500] * (len(pieces) - 1) and 0 < len(pieces[-1]) <= 500
    rows = [row for piece in pieces for row in piece]
    assert rows == [("t", 0, *record) for record in decode_batch(batch, max_decompressed_bytes=1 << 20)]


def test_rows_of_a_compacted_batch_keep_their_offsets():
    batch = build_batch(many(1000), base_offset=7)
    header = next_batch(batch)
    kept = [record for record in decode_batch(batch, max_decompressed_bytes=1 << 20) if record.offset % 3]
    pieces = list(decode_rows(rebuild_batch(header, kept), 0, Row, "t", 0, max_decompressed_bytes=1 << 20))
    assert [row for piece in pieces for row in piece] == [("t", 0, *record) for record in kept]
    assert max(map(len, pieces)) == 500
    assert not list(decode_rows(rebuild_batch(header, []), 0, Row, "t", 0, max_decompressed_bytes=1000))


@pytest.mark.parametrize("bad", [0, 499, 500, 999])
def test_rows_before_a_damaged_record_are_right(bad):
    batch = bytearray(build_batch(many(1000)))
    # The length of its value.
    batch[batch.index(b"\x06%03d\x00" % bad)] = 0x7F
    rows = []
    with pytest.raises(CorruptBatch, match=f"record {bad + 1} of 1000"):
        for piece in decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1 << 20):
            rows += piece
    assert [row.value for row in rows] == [value for _, _, value, _ in many(500 if bad >= 500 else 0)]


def test_rows_with_bytes_behind_the_last_are_refused():
    batch = bytearray(build_batch(many(500))) + b"\x00"
    batch[8:12] = (len(batch) - LENGTH_OVERHEAD).to_bytes(4, "big")
    with pytest.raises(CorruptBatch):
        next(decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1 << 20))
