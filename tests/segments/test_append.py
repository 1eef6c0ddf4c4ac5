"""Appending: what is stored and how, and what is refused."""

import struct
from dataclasses import replace

import pytest
from logserver_records.batch import HEADER_SIZE, reheader, split, stamped_header
from logserver_records.codec import build_batch
from logserver_records.compression import Compression
from logserver_records.control import ControlType, EndTransactionMarker, build_marker
from logserver_segments.config import LogConfig
from logserver_segments.errors import (
    CorruptRecords,
    InvalidRecords,
    InvalidTimestamp,
    LogOffline,
    RecordListTooLarge,
    RecordsTooLarge,
)

from .support import NOW, SMALL, Box, batch, keyed, read, read_all, records_in, values


def test_records_get_offsets_in_order_of_arrival() -> None:
    box = Box()
    assert box.append(batch(b"a", b"b"), batch(b"c"))[1][:2] == (2, 2)
    assert values(read_all(box.log)) == [b"a", b"b", b"c"]
    assert (box.log.log_start_offset, box.log.committed_offset, box.log.log_end_offset) == (0, 3, 3)


def test_a_payload_of_several_batches_is_stored_as_one() -> None:
    box = Box()
    appended = box.log.append(batch(b"a", b"b") + batch(b"c") + batch(b"d"), 0, NOW)
    assert appended == (0, 3, -1, False)
    assert [header.base_offset for _, header in split(read(box.log, 0, 1000).data)] == [0, 2, 3]


def test_a_payload_of_thousands_of_small_batches_is_stored() -> None:
    box = Box(LogConfig())
    count = 3000
    box.log.append(b"".join(batch(b"%d" % number) for number in range(count)), 0, NOW)
    assert values(read_all(box.log, 1 << 20)) == [b"%d" % number for number in range(count)]


def test_stored_bytes_are_those_that_came_but_for_base_offset_and_leader_epoch() -> None:
    box = Box()
    box.append(batch(b"first"))
    payload = build_batch([(NOW, b"k", b"v" * 200, (("h", b"x"),))], compression=Compression.ZSTD)
    box.append(payload, epoch=7)
    stored = bytes(read(box.log, 1).data)
    assert stored[HEADER_SIZE:] == payload[HEADER_SIZE:]
    (_, header), *_ = split(payload)
    assert stored[:HEADER_SIZE] == stamped_header(header, 1, 7)


def test_the_payload_is_not_kept() -> None:
    box = Box()
    payload = bytearray(batch(b"value"))
    box.append(payload)
    payload[:] = bytes(len(payload))
    assert values(read_all(box.log)) == [b"value"]


def test_with_log_append_time_the_server_sets_the_time() -> None:
    box = Box(replace(SMALL, log_append_time=True))
    appended = box.log.append(batch(b"a", b"b", timestamps=[1, 2]), 0, NOW + 5)
    assert appended.append_time_ms == NOW + 5
    assert [record.timestamp_ms for record in records_in(read(box.log, 0).data)] == [NOW + 5] * 2


def test_a_duplicate_is_answered_with_the_time_it_was_stored_at() -> None:
    for by_server, time in ((True, NOW + 5), (False, -1)):
        box = Box(replace(SMALL, log_append_time=by_server))
        payload = batch(b"a", timestamps=[1], producer=(7, 0, 0))
        first = box.log.append(payload, 0, NOW + 5)
        again = box.log.append(payload, 0, NOW + 9)
        assert first.append_time_ms == again.append_time_ms == time
        assert again == first._replace(duplicate=True)


@pytest.mark.parametrize(
    ("payload", "error", "message"),
    [
        (b"", InvalidRecords, "no record batch"),
        (batch(b"a")[:-1], CorruptRecords, "truncated"),
        (batch(b"a") + b"xyz", CorruptRecords, "truncated"),
        (batch(b"a")[:-1] + b"!", CorruptRecords, "wrong CRC"),
        (batch(b"x" * 2000), RecordsTooLarge, "max.message.bytes=1500"),
        (batch(b"a", timestamp=NOW + 3600_001), InvalidTimestamp, "message.timestamp.after.max.ms"),
        (batch(b"a", timestamps=[NOW - 1001]), InvalidTimestamp, "message.timestamp.before.max.ms"),
        (batch(b"a", producer=(5, 0, -1)), InvalidRecords, "at least 0"),
        (batch(b"a", producer=(5, -1, 0)), InvalidRecords, "at least 0"),
        (batch(b"a", producer=(5, 0, 0)) * 2, InvalidRecords, "must hold one record batch"),
        (build_batch([(NOW, None, b"a", ())], is_control=True), InvalidRecords, "control"),
        (build_batch([(NOW, None, b"a", ())], is_transactional=True), InvalidRecords, "transactional"),
    ],
)
def test_a_bad_payload_is_refused_and_nothing_stored(payload: bytes, error: type[Exception], message: str) -> None:
    box = Box(replace(SMALL, max_message_bytes=1500, segment_bytes=5000, timestamp_before_max_ms=1000))
    box.append(batch(b"before"))
    for bad in (payload, batch(b"good") + payload if payload else payload):
        with pytest.raises(error, match=message):
            box.log.append(bad, 0, NOW)
    box.append(batch(b"after"))
    assert values(read_all(box.log)) == [b"before", b"after"]
    box.log.check_invariant()


def _with_header(payload: bytes, **changes: int) -> bytes:
    (_, header), *_ = split(payload)
    return reheader(header._replace(**changes), payload[HEADER_SIZE:])


@pytest.mark.parametrize(
    "payload",
    [
        batch(b"a")[:16] + b"\x01" + batch(b"a")[17:],
        batch(b"a")[:16] + b"\x03" + batch(b"a")[17:],
        batch(b"a")[:8] + struct.pack(">i", 2**31 - 1) + batch(b"a")[12:],
        batch(b"a")[:8] + struct.pack(">i", -1) + batch(b"a")[12:],
        batch(b"a")[:8] + struct.pack(">i", 48) + batch(b"a")[12:],
    ],
)
def test_a_batch_that_is_no_batch_is_corrupt(payload: bytes) -> None:
    box = Box()
    with pytest.raises(CorruptRecords):
        box.log.append(payload, 0, NOW)
    assert box.log.log_end_offset == 0


@pytest.mark.parametrize(
    "payload",
    [
        _with_header(batch(b"a", b"b"), record_count=1),
        _with_header(batch(b"a", b"b"), last_offset_delta=5),
        _with_header(batch(b"a", b"b"), record_count=1000, last_offset_delta=999),
        _with_header(batch(b"a", b"b"), record_count=0, last_offset_delta=-1),
        _with_header(batch(b"a", b"b"), record_count=-1),
        _with_header(batch(b"a"), attributes=1, record_count=2**31 - 1, last_offset_delta=2**31 - 2),
    ],
)
def test_an_intact_batch_that_claims_what_its_bytes_do_not_hold_is_invalid(payload: bytes) -> None:
    # Sent again it would be no better, so it is not told as corrupt, which clients send again.
    box = Box()
    with pytest.raises(InvalidRecords, match="claims"):
        box.log.append(payload, 0, NOW)
    assert box.log.log_end_offset == 0


def test_a_sequence_without_a_producer_id_means_nothing() -> None:
    # KafkaJS sends one in every batch.
    box = Box()
    box.append(batch(b"a", producer=(-1, 0, 0)))
    box.append(batch(b"b", producer=(-1, 0, 0)))
    assert values(read_all(box.log)) == [b"a", b"b"]


def test_an_unknown_compression_codec_is_refused() -> None:
    box = Box()
    with pytest.raises(InvalidRecords, match="codec 5"):
        box.log.append(_with_header(batch(b"a"), attributes=5), 0, NOW)


def test_a_client_may_not_say_that_its_times_are_the_servers() -> None:
    box = Box()
    with pytest.raises(InvalidTimestamp, match="LogAppendTime"):
        box.log.append(_with_header(batch(b"a"), attributes=8), 0, NOW)


def test_a_payload_that_no_segment_holds_is_refused() -> None:
    box = Box()
    with pytest.raises(RecordListTooLarge, match=r"segment\.bytes=1000"):
        box.log.append(batch(b"x" * 400) * 3, 0, NOW)
    assert box.log.log_end_offset == 0


def test_a_compacted_topic_wants_keys() -> None:
    box = Box(replace(SMALL, compact=True))
    with pytest.raises(InvalidRecords, match="record 1 has no key"):
        box.log.append(build_batch([(NOW, b"k", b"v", ()), (NOW, None, b"v", ())]), 0, NOW)
    box.log.append(keyed((b"k", b"v")), 0, NOW)
    assert box.log.log_end_offset == 1


def test_a_compacted_topic_does_not_unpack_without_limit() -> None:
    box = Box(replace(SMALL, compact=True, max_decompressed_bytes=10_000, segment_bytes=10_000))
    bomb = build_batch([(NOW, b"k", bytes(1_000_000), ())], compression=Compression.ZSTD)
    with pytest.raises(InvalidRecords, match="10000 bytes"):
        box.log.append(bomb, 0, NOW)
    assert box.log.log_end_offset == 0


def test_the_servers_own_batches_may_be_control_batches() -> None:
    box = Box()
    marker = EndTransactionMarker(ControlType.COMMIT, 3)
    box.log.append_trusted(build_marker(marker, timestamp_ms=NOW, producer_id=5, producer_epoch=0), 0, NOW)
    assert box.log.log_end_offset == 1
    # Of the producer the epochs are known, which fence older ones.
    ((producer_id, producer),) = box.log.producers.items()
    assert (producer_id, producer.epoch, producer.coordinator_epoch, list(producer.batches)) == (5, 0, 3, [])


def test_a_closed_log_takes_and_gives_nothing() -> None:
    box = Box()
    box.append(batch(b"a"))
    box.directory.close_log("topic", 0)
    with pytest.raises(LogOffline, match="closed"):
        box.log.append(batch(b"b"), 0, NOW)
    with pytest.raises(LogOffline, match="closed"):
        box.log.read(0, 100)
    with pytest.raises(LogOffline, match="closed"):
        box.log.delete_records_before(1)


def test_settings_can_change_while_the_log_is_in_use() -> None:
    box = Box()
    box.fill(3)
    box.log.config = replace(SMALL, max_message_bytes=80)
    with pytest.raises(RecordsTooLarge):
        box.append(batch(b"x" * 100))
    box.log.config = SMALL
    box.append(batch(b"x" * 100))
    assert len(read_all(box.log)) == 4
