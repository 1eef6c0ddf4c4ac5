"""Finding batches in bytes that may hold anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_records import iter_batches
from logserver_records.batch import next_batch, split, whole_batches
from logserver_records.errors import CorruptBatch, UnsupportedBatch

from .reference import RefBatch, RefRecord, encode
from .strategies import batches

ONE = encode(RefBatch((RefRecord(0, 5, b"key", b"value"),)))
TWO = ONE + encode(RefBatch((RefRecord(1, 5, None, b"other"), RefRecord(2, 5)), base_offset=1))


def changed(position: int, field: bytes) -> bytes:
    return ONE[:position] + field + ONE[position + len(field) :]


@given(st.lists(batches(), max_size=4))
def test_a_payload_is_split_into_its_batches(payload):
    parts = [encode(batch) for batch in payload]
    data = b"".join(parts)
    found = list(split(data))
    assert [data[position : position + header.size] for position, header in found] == parts
    assert found == list(whole_batches(data)) == list(iter_batches(data))


@pytest.mark.parametrize("size", range(len(ONE)))
def test_a_batch_cut_anywhere_is_corrupt(size):
    with pytest.raises(CorruptBatch, match=f"truncated record batch: .*{size}"):
        next_batch(ONE[:size])


@pytest.mark.parametrize("size", range(len(TWO) + 1))
def test_bytes_from_a_log_may_end_anywhere(size):
    found = [position for position, _ in whole_batches(TWO[:size])]
    assert found == [0, len(ONE)][: (size >= len(ONE)) + (size == len(TWO))]


@pytest.mark.parametrize("size", range(len(ONE) + 1, len(TWO)))
def test_split_yields_the_batches_before_one_that_is_cut(size):
    walk = split(TWO[:size])
    assert next(walk)[0] == 0
    with pytest.raises(CorruptBatch, match="truncated"):
        next(walk)


@pytest.mark.parametrize("magic", [0, 1])
def test_older_formats_are_named(magic):
    data = changed(16, bytes([magic]))
    for part in (data, data[:17], data[:40]):
        with pytest.raises(UnsupportedBatch, match=f"magic {magic} .*before Kafka 0.11"):
            next_batch(part)


@pytest.mark.parametrize("magic", [3, 127, 255])
def test_an_unknown_magic_is_corrupt(magic):
    with pytest.raises(CorruptBatch, match="magic"):
        next_batch(changed(16, bytes([magic])))


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 48])
def test_a_length_too_small_for_a_header_is_corrupt(length):
    data = changed(8, length.to_bytes(4, "big", signed=True))
    with pytest.raises(CorruptBatch, match=f"claims a length of {length}; the least is 49"):
        next_batch(data)
    assert list(whole_batches(data)) == []


def test_a_length_beyond_the_bytes_is_corrupt():
    with pytest.raises(CorruptBatch, match=f"it claims {2**31 - 1 + 12} bytes, {len(ONE)} are there"):
        next_batch(changed(8, (2**31 - 1).to_bytes(4, "big")))


@pytest.mark.parametrize(
    ("count", "last_offset_delta"),
    [(-1, 0), (-(2**31), 2**31 - 1), (0, -1), (1, -1), (2, 0), (2**31 - 1, 2**31 - 3), (4, 10), (2**31 - 1, 2**31 - 1)],
)
def test_a_record_count_that_cannot_be_is_corrupt(count, last_offset_delta):
    data = changed(57, count.to_bytes(4, "big", signed=True))
    data = data[:23] + last_offset_delta.to_bytes(4, "big", signed=True) + data[27:]
    with pytest.raises(CorruptBatch, match=f"claims {count} records"):
        next_batch(data)


def test_a_compacted_batch_has_fewer_records_than_offsets():
    for count in (0, 1):
        batch = RefBatch(tuple(RefRecord(3 + n, 5) for n in range(count)), base_offset=3, last_offset_delta=9)
        header = next_batch(encode(batch))
        assert (header.record_count, header.next_offset) == (count, 13)


def test_the_count_of_a_compressed_batch_is_not_held_against_its_bytes():
    records = tuple(RefRecord(n, 5) for n in range(1000))
    data = encode(RefBatch(records, attributes=4))
    assert len(data) < 7 * 1000
    assert next_batch(data).record_count == 1000
