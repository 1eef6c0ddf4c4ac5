"""The yardstick itself, against values from outside."""

import pytest

from .reference import (
    Invalid,
    RefBatch,
    RefRecord,
    crc32c,
    decode,
    encode,
    snappy_literals,
    unsnappy,
    varint,
)


def test_crc_is_that_of_rfc_3720():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "00"), (-1, "01"), (1, "02"), (63, "7e"), (-64, "7f"), (64, "8001"), (-65, "8101"), (300, "d804")],
)
def test_varint_is_the_zigzag_of_protobuf(number, encoded):
    assert varint(number).hex() == encoded


def test_snappy_copies_may_overlap():
    # Length 10, literal "ab", copy of 8 bytes from distance 2.
    assert unsnappy(bytes([10, 1 << 2]) + b"ab" + bytes([(8 - 4) << 2 | 1, 2])) == b"ab" * 5
    assert unsnappy(snappy_literals(bytes(range(200)))) == bytes(range(200))


def test_a_batch_by_hand():
    record = "10000000026b027600"
    covered = "0000000000000000018bcfe568000000018bcfe56800ffffffffffffffffffffffffffff00000001" + record
    counted = "ffffffff02" + crc32c(bytes.fromhex(covered)).to_bytes(4, "big").hex() + covered
    data = bytes.fromhex("0000000000000005" + (len(counted) // 2).to_bytes(4, "big").hex() + counted)
    batch = RefBatch((RefRecord(5, 1_700_000_000_000, b"k", b"v"),), base_offset=5)
    assert encode(batch) == data
    assert decode(data).records == batch.records
    with pytest.raises(Invalid):
        decode(data[:-1])
