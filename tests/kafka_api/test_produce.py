"""Produce: what is stored, what is refused and how that is told, and when the answer comes."""

import time
from typing import Any

import pytest
from logserver_records.batch import HEADER_SIZE, read_header, reheader
from logserver_records.codec import build_batch
from logserver_records.compression import Compression

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.testing import LogServer

from .fetching import fetch, only, read, target
from .raw_client import DELETE_RECORDS, PRODUCE, RawClient, request_frame, served_versions
from .records import batch, create_topic, produce, produce_request, stored

HOUR_MS = 3_600_000


def now_ms() -> int:
    return int(time.time() * 1000)


def changed(payload: bytes, **fields: int) -> bytes:
    """A batch with another header; its CRC is right."""
    return reheader(read_header(payload)._replace(**fields), payload[HEADER_SIZE:])


def code_of(result: Struct) -> ErrorCode:
    if result.error_code:
        assert (result.base_offset, result.log_append_time_ms) == (-1, -1)
    return ErrorCode(result.error_code)


@pytest.mark.parametrize("version", served_versions(PRODUCE))
@pytest.mark.parametrize("acks", [-1, 1])
def test_every_version_stores_and_says_where(server: LogServer, client: RawClient, version: int, acks: int) -> None:
    topic_id = create_topic(server)
    stored(client, batch("before"))
    request = produce_request(batch("a", "b"), acks=acks)
    request["topic_data"][0]["topic_id"] = topic_id
    (topic,) = client.call(PRODUCE, version, request).responses
    assert (topic.name, topic.topic_id) == (("t", ZERO_UUID) if version < 13 else ("", topic_id))
    (result,) = topic.partition_responses
    assert (result.index, result.error_code, result.base_offset, result.log_append_time_ms) == (0, 0, 1, -1)
    assert result.log_start_offset == (0 if version >= 5 else -1)
    assert list(result.record_errors) == [] and result.error_message is None
    if acks == 1:
        stored(client, batch("c"))
    assert read(client, target(1))[0][:2] == ["a", "b"]


@pytest.mark.parametrize("acks", [-1, 1])
def test_every_answer_tells_where_the_log_begins(server: LogServer, client: RawClient, acks: int) -> None:
    create_topic(server)
    stored(client, batch("a"), batch("b"))
    deleted = {"topics": [{"name": "t", "partitions": [{"partition_index": 0, "offset": 1}]}], "timeout_ms": 1000}
    client.call(DELETE_RECORDS, 2, deleted)
    # Requests like the one before go the short way, one for two partitions does not.
    for number in range(3):
        assert produce(client, batch("c"), acks=acks).log_start_offset == 1
        assert only(fetch(client, target(2 + number))).log_start_offset == 1
    request = produce_request(batch("d"), acks=acks)
    request["topic_data"][0]["partition_data"].append({"index": 1, "records": batch("d")})
    first, unknown = client.call(PRODUCE, 12, request).responses[0].partition_responses
    assert (first.log_start_offset, unknown.log_start_offset) == (1, -1)


def test_several_topics_and_partitions_in_one_request(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    create_topic(server, "u", settings={"message.timestamp.type": "LogAppendTime"})
    data = [
        {"name": "t", "partition_data": [{"index": 1, "records": batch("b")}, {"index": 0, "records": batch("a")}]},
        {"name": "u", "partition_data": [{"index": 0, "records": batch("c")}]},
    ]
    for version in (8, 9):
        first, second = client.call(PRODUCE, version, {"acks": -1, "timeout_ms": 1, "topic_data": data}).responses
        assert [result.index for result in first.partition_responses] == [1, 0]
        assert [first.name, second.name] == ["t", "u"]
        assert second.partition_responses[0].log_append_time_ms > 1_600_000_000_000
    assert read(client, target(0), target(0, partition=1), target(0, topic="u")) == [["a"] * 2, ["b"] * 2, ["c"] * 2]


def test_errors_are_each_partition_s_own(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    bad = batch("x")[:-1] + b"!"
    data = [
        {"name": "nowhere", "partition_data": [{"index": 0, "records": batch("a")}]},
        {"name": "t", "partition_data": [{"index": number, "records": batch("b")} for number in (0, 1)]},
        {"name": "t", "partition_data": [{"index": 0, "records": bad}]},
    ]
    for version in served_versions(PRODUCE)[:-1]:
        request = {"acks": -1, "timeout_ms": 1000, "topic_data": data}
        results = [
            one for topic in client.call(PRODUCE, version, request).responses for one in topic.partition_responses
        ]
        unknown = ErrorCode.unknown_topic_or_partition
        assert list(map(code_of, results)) == [unknown, ErrorCode.none, unknown, ErrorCode.corrupt_message]
        if version >= 8:
            assert "nowhere" in results[0].error_message and "wrong CRC" in results[3].error_message


def test_an_unknown_topic_id(client: RawClient) -> None:
    request = produce_request(batch("a"))
    request["topic_data"][0]["topic_id"] = "AAAAAAAAAAAAAAAAAAAAZw"
    (topic,) = client.call(PRODUCE, 13, request).responses
    assert topic.topic_id == "AAAAAAAAAAAAAAAAAAAAZw"
    assert code_of(topic.partition_responses[0]) is ErrorCode.unknown_topic_id


GOOD = batch("a", "b", timestamp_ms=now_ms())
INVALID = ErrorCode.invalid_record


@pytest.mark.parametrize(
    ("records", "code", "words"),
    [
        (None, INVALID, "must be a whole record batch"),
        (b"", INVALID, "must be a whole record batch"),
        (GOOD[:-1], INVALID, "must be a whole record batch"),
        (GOOD[:14], INVALID, "must be a whole record batch"),
        (GOOD * 2, INVALID, "exactly one record batch"),
        (GOOD[:8] + b"\0\0\0\x05" + GOOD[12:], ErrorCode.corrupt_message, "length of 5"),
        (GOOD[:8] + b"\0\0\0\x20" + GOOD[12:], ErrorCode.corrupt_message, "44 bytes"),
        (GOOD[:16] + b"\x01" + GOOD[17:], INVALID, "magic 1"),
        (GOOD[:16] + b"\x03" + GOOD[17:], ErrorCode.corrupt_message, "magic 3"),
        (GOOD[:7] + b"\x01" + GOOD[8:], INVALID, "base offset"),
        (GOOD[:-1] + b"!", ErrorCode.corrupt_message, "wrong CRC"),
        (changed(GOOD, record_count=3), INVALID, "claims 3 records"),
        (changed(GOOD, last_offset_delta=0), INVALID, "last offset delta"),
        (changed(GOOD, attributes=5), INVALID, "codec 5"),
        (changed(GOOD, attributes=0x20), INVALID, "control"),
        (changed(GOOD, producer_id=5), INVALID, "at least 0"),
        (batch("x" * 2000, timestamp_ms=now_ms()), ErrorCode.message_too_large, "max.message.bytes=1500"),
    ],
    # The bytes have times in them, which are others in every process.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_records_that_are_refused(
    server: LogServer, client: RawClient, records: bytes | None, code: ErrorCode, words: str
) -> None:
    create_topic(server, settings={"max.message.bytes": "1500"})
    for _ in range(2):
        result = produce(client, records)
        assert code_of(result) is code and words in result.error_message
    assert read(client, target(0)) == [[]]


def test_a_batch_that_is_cut_short_behind_a_whole_one_is_let_go(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    assert code_of(produce(client, GOOD + GOOD[:40])) is ErrorCode.none
    assert read(client, target(0)) == [["a", "b"]]


def test_zstd_needs_version_7(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    packed = batch("a" * 100, compression=Compression.ZSTD)
    assert code_of(produce(client, packed, version=6)) is ErrorCode.unsupported_compression_type
    assert code_of(produce(client, packed, version=7)) is ErrorCode.none


def test_refused_records_are_named(server: LogServer, client: RawClient) -> None:
    create_topic(server, settings={"cleanup.policy": "compact"})
    mixed = build_batch([(now_ms(), key, b"v", ()) for key in (b"k", None, b"k", None)])
    result = produce(client, mixed, version=8)
    assert code_of(result) is INVALID and "record 1 has no key" in result.error_message
    assert [one.batch_index for one in result.record_errors] == [1, 3]
    assert "no key" in result.record_errors[1].batch_index_error_message
    assert result.log_start_offset == 0


def test_refused_times_are_named(server: LogServer, client: RawClient) -> None:
    create_topic(server, settings={"message.timestamp.before.max.ms": "60000"})
    times = now_ms(), now_ms() - 61_000, now_ms() + HOUR_MS + 60_000
    result = produce(client, build_batch([(time_ms, None, b"v", ()) for time_ms in times]))
    assert code_of(result) is ErrorCode.invalid_timestamp
    assert [one.batch_index for one in result.record_errors] == [1, 2]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd", "uncompressed"])
def test_batches_are_stored_with_the_topic_s_codec(server: LogServer, client: RawClient, codec: str) -> None:
    create_topic(server, settings={"compression.type": codec})
    stored(client, batch("a" * 100), batch("b" * 100, compression=Compression.GZIP))
    assert read(client, target(0)) == [["a" * 100, "b" * 100]]


def test_internal_topics_are_not_written_to(server: LogServer, client: RawClient) -> None:
    server.call(lambda daemon: daemon.broker.create_internal_topic("__consumer_offsets", 1, {}))
    for name in ("__consumer_offsets", "__logserver_metadata"):
        code = code_of(produce(client, GOOD, name))
        assert code in (ErrorCode.invalid_topic_exception, ErrorCode.unknown_topic_or_partition)
    assert code_of(produce(client, GOOD, "__consumer_offsets")) is ErrorCode.invalid_topic_exception


# Producers


def numbered(producer_id: int, sequence: int, *values: str, epoch: int = 0) -> bytes:
    return batch(*values, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)


def test_a_batch_that_comes_again_has_the_offset_of_the_first_time(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    for number in range(7):
        assert produce(client, numbered(9, number, str(number))).base_offset == number
    for number in range(2, 7):
        result = produce(client, numbered(9, number, str(number)))
        assert (code_of(result), result.base_offset) == (ErrorCode.none, number)
    # Where it was stored is not known any more, but that it was: clients take this for success.
    assert code_of(produce(client, numbered(9, 0, "0"))) is ErrorCode.duplicate_sequence_number
    assert code_of(produce(client, numbered(9, 9, "9"))) is ErrorCode.out_of_order_sequence_number
    assert len(read(client, target(0))[0]) == 7


def test_a_producer_s_new_epoch_ends_the_old_one(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, numbered(9, 0, "a"), numbered(9, 0, "b", epoch=1))
    assert code_of(produce(client, numbered(9, 1, "c"))) is ErrorCode.invalid_producer_epoch
    assert code_of(produce(client, numbered(9, 5, "c", epoch=2))) is ErrorCode.out_of_order_sequence_number
    assert read(client, target(0)) == [["a", "b"]]


def test_transactional_batches_of_no_transaction(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    in_transaction = batch("a", producer_id=9, producer_epoch=0, base_sequence=0, is_transactional=True)
    assert code_of(produce(client, in_transaction, transactional_id="me")) is ErrorCode.invalid_producer_id_mapping
    # Without an id, all of the request is refused.
    data = [{"index": 0, "records": batch("b")}, {"index": 1, "records": in_transaction}]
    request = produce_request(None)
    request["topic_data"][0]["partition_data"] = data
    results = client.call(PRODUCE, 12, request).responses[0].partition_responses
    assert {code_of(one) for one in results} == {ErrorCode.transactional_id_authorization_failed}
    assert read(client, target(0)) == [[]]


# Acks


def test_acks_0_has_no_answer(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    client.send(PRODUCE, 9, produce_request(batch("a"), acks=0))
    client.skip()
    stored(client, batch("b"))
    assert read(client, target(0)) == [["a", "b"]]


def test_a_refusal_with_acks_0_closes_the_connection(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    client.send_bytes(
        request_frame(PRODUCE, 9, produce_request(GOOD[:-1], acks=0)) + request_frame(PRODUCE, 9, produce_request(GOOD))
    )
    assert client.is_closed()
    with RawClient(server.kafka) as other:
        assert read(other, target(0)) == [[]]


@pytest.mark.parametrize("acks", [-2, 2, 300])
def test_other_acks_are_refused(server: LogServer, client: RawClient, acks: int) -> None:
    create_topic(server)
    assert code_of(produce(client, GOOD, acks=acks)) is ErrorCode.invalid_required_acks
    assert code_of(produce(client, GOOD, "nowhere", acks=acks)) is ErrorCode.unknown_topic_or_partition
    assert read(client, target(0)) == [[]]


def test_a_disk_that_hangs_is_told_when_the_time_is_over(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    server.call(hang)
    result = produce(client, batch("a"), timeout_ms=1)
    assert result.error_code == ErrorCode.request_timed_out.value
    # Others, and other requests, go on meanwhile.
    client.send(PRODUCE, 9, produce_request(batch("b"), partition=1))
    client.send(PRODUCE, 9, produce_request(batch("c"), partition=1, acks=1))
    server.call(go_on)
    for offset in (0, 1):
        result = client.receive().responses[0].partition_responses[0]
        assert (result.error_code, result.base_offset) == (0, offset)
    assert read(client, target(0)) == [["a"]]


async def hang(daemon: Any) -> None:
    """Holds back all reports of the committer."""
    for partition in daemon.broker.topic("t").partitions:
        partition.log.set_listener(None)


async def go_on(daemon: Any) -> None:
    """Hands them out."""
    for partition in daemon.broker.topic("t").partitions:
        partition.log.set_listener(partition)
        partition.log_committed(partition.log.log_end_offset)
