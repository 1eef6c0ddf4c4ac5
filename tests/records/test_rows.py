"""Rows are the records that `decode_batch` returns, in the caller's own tuples."""

from typing import NamedTuple

import pytest
from logserver_records.batch import HEADER_SIZE
from logserver_records.codec import build_batch, decode_batch, decode_rows
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
    rows = decode_rows(batch, 0, Row, "t", 7, max_decompressed_bytes=1000)
    assert rows == [("t", 7, *record) for record in decode_batch(batch, max_decompressed_bytes=1000)]
    assert all(type(row) is Row for row in rows)
    assert [row.offset for row in rows] == [40, 41, 42]


def test_rows_of_a_header_key_that_is_no_utf_8():
    batch = bytearray(build_batch([(0, None, b"v", [("a-b", None)])]))
    at = batch.index(b"a-b")
    batch[at + 1] = 0xFF
    (row,) = decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1000)
    assert row == ("t", 0, 0, 0, None, b"v", [("a\N{REPLACEMENT CHARACTER}b", None)])


def test_rows_of_a_damaged_batch_are_refused():
    batch = bytearray(build_batch(RECORDS))
    batch[HEADER_SIZE] = 0xFF
    with pytest.raises(CorruptBatch, match="record 1 of 3"):
        decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1000)
    with pytest.raises(CorruptBatch, match="wrong CRC"):
        decode_rows(batch, 0, Row, "t", 0, max_decompressed_bytes=1000, verify_crc=True)
