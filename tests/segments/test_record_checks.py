"""Records that are looked at one by one when they arrive, and batches that are compressed anew."""

from dataclasses import replace

import pytest
from logserver_records.batch import HEADER_SIZE, read_header, reheader
from logserver_records.codec import build_batch, decode_batch
from logserver_records.compression import Compression
from logserver_segments.config import NEVER_MS, LogConfig
from logserver_segments.errors import (
    InvalidRecords,
    InvalidTimestamp,
    InvalidTransactionState,
    RecordsTooLarge,
    RefusedRecord,
)
from logserver_segments.reading import Slice

from .support import NOW, Box

HOUR_MS = 3_600_000


def batch_at(*timestamps_ms: int, keys: str = "") -> bytes:
    """A batch with a record at each time; those named in `keys` by their number have a key."""
    return build_batch(
        [(time_ms, b"k" if str(number) in keys else None, b"v", ()) for number, time_ms in enumerate(timestamps_ms)]
    )


def refused(config: LogConfig, payload: bytes) -> InvalidRecords:
    box = Box(config)
    with pytest.raises(InvalidRecords) as caught:
        box.log.append(payload, 0, NOW)
    assert box.log.log_end_offset == 0
    return caught.value


def test_records_without_a_key_are_named_on_a_compacted_topic() -> None:
    error = refused(LogConfig(compact=True), batch_at(NOW, NOW, NOW, keys="1"))
    assert [record.number for record in error.refused] == [0, 2]
    assert str(error).startswith("record 0 has no key") and "2 records in all" in str(error)
    assert type(error) is InvalidRecords


def test_records_that_are_late_or_early_are_named() -> None:
    late = refused(LogConfig(), batch_at(NOW, NOW + HOUR_MS + 5, NOW))
    assert type(late) is InvalidTimestamp
    assert late.refused == [RefusedRecord(1, str(late))]
    # The first record's time, which the header has, is not the earliest here.
    early = refused(LogConfig(timestamp_before_max_ms=1000), batch_at(NOW, NOW - 1001, NOW - 1000, NOW - 2000))
    assert [record.number for record in early.refused] == [1, 3]
    assert "message.timestamp.before.max.ms=1000" in str(early)


def test_a_wrong_time_counts_for_more_than_a_missing_key() -> None:
    error = refused(LogConfig(compact=True), batch_at(NOW, NOW + HOUR_MS + 5, keys="1"))
    assert type(error) is InvalidTimestamp
    assert [record.number for record in error.refused] == [0, 1]


def test_times_do_not_matter_where_the_topic_gives_them() -> None:
    Box(LogConfig(log_append_time=True, timestamp_before_max_ms=1)).log.append(batch_at(NOW + 2 * HOUR_MS, 0), 0, NOW)


def test_records_without_a_time_are_taken() -> None:
    box = Box(LogConfig(timestamp_before_max_ms=1000))
    box.log.append(build_batch([(-1, None, b"v", ())]), 0, NOW)
    assert box.log.log_end_offset == 1


def test_a_header_with_a_later_time_than_its_records_is_refused() -> None:
    payload = batch_at(NOW)
    header = read_header(payload)._replace(max_timestamp=NOW + HOUR_MS + 1)
    error = refused(LogConfig(), reheader(header, payload[HEADER_SIZE:]))
    assert type(error) is InvalidTimestamp and not error.refused


def test_very_many_refused_records_are_not_all_named() -> None:
    assert len(refused(LogConfig(compact=True), batch_at(*[NOW] * 2000)).refused) == 1000


def test_a_client_does_not_set_the_timestamp_type() -> None:
    payload = batch_at(NOW, NOW)
    header = read_header(payload)._replace(attributes=8)
    error = refused(LogConfig(), reheader(header, payload[HEADER_SIZE:]))
    assert type(error) is InvalidTimestamp and [record.number for record in error.refused] == [0, 1]


def test_a_transactional_batch_needs_a_producer_and_a_transaction() -> None:
    error = refused(LogConfig(), build_batch([(NOW, None, b"v", ())], is_transactional=True))
    assert type(error) is InvalidRecords and "producer id" in str(error)
    payload = build_batch(
        [(NOW, None, b"v", ())], is_transactional=True, producer_id=1, producer_epoch=0, base_sequence=0
    )
    assert type(refused(LogConfig(), payload)) is InvalidTransactionState


# compression.type


def stored(box: Box) -> bytes:
    found = box.log.read(0, 1 << 20)
    assert isinstance(found, Slice)
    return bytes(found.data)


@pytest.mark.parametrize("codec", Compression)
@pytest.mark.parametrize("sent", Compression)
def test_a_batch_is_stored_with_the_topic_s_codec(sent: Compression, codec: Compression) -> None:
    box = Box(LogConfig(compression=codec))
    records = [(NOW + number, b"k", b"value " * 20, (("h", b"1"),)) for number in range(20)]
    payload = build_batch(records, compression=sent, producer_id=7, producer_epoch=1, base_sequence=3)
    box.log.append(payload, 0, NOW)
    # The same batch again is known by its sequence, not by its bytes.
    assert box.log.append(payload, 0, NOW).duplicate
    data = stored(box)
    header = read_header(data)
    assert header.compression == codec
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 1, 3)
    found = decode_batch(data, max_decompressed_bytes=1 << 20, verify_crc=True)
    assert [tuple(record[1:4]) for record in found] == [tuple(record[:3]) for record in records]
    if sent == codec:
        assert data[HEADER_SIZE:] == payload[HEADER_SIZE:]


def test_several_batches_are_compressed_each_for_itself() -> None:
    box = Box(LogConfig(compression=Compression.LZ4))
    box.log.append(batch_at(NOW) + build_batch([(NOW, None, b"w", ())], compression=Compression.LZ4), 0, NOW)
    data = stored(box)
    first = read_header(data)
    second = read_header(data, first.size)
    assert [(one.base_offset, one.compression) for one in (first, second)] == [(0, 3), (1, 3)]


def test_a_batch_that_has_grown_too_large_is_refused() -> None:
    payload = build_batch([(NOW, None, b"x" * 5000, ())], compression=Compression.GZIP)
    config = LogConfig(compression=Compression.NONE, max_message_bytes=1000)
    with pytest.raises(RecordsTooLarge, match=r"compression\.type=none"):
        Box(config).log.append(payload, 0, NOW)
    error = refused(replace(config, max_decompressed_bytes=1000), payload)
    assert "compression.type of its own" in str(error)


def test_the_time_of_the_log_is_kept_in_what_is_compressed_anew() -> None:
    box = Box(LogConfig(compression=Compression.ZSTD, log_append_time=True, timestamp_before_max_ms=NEVER_MS))
    box.log.append(batch_at(NOW - 5), 0, NOW)
    (record,) = decode_batch(stored(box), max_decompressed_bytes=1 << 20, verify_crc=True)
    assert record.timestamp_ms == NOW
