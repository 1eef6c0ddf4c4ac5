"""Bad input, case by case: a clear error that names the field or limit, nothing stored of it, the server as before."""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import pytest
from logserver_records.batch import HEADER, BatchHeader, compute_crc, read_header, reheader
from logserver_records.compression import Compression, compress
from logserver_records.control import ControlType, EndTransactionMarker, build_marker
from logserverpb.v1 import admin_pb2, common_pb2, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import NOW_MS, batch, keyed_batch

from .servers import ProduceStream, Server, at, batches, check_error, plain, refused

SETTINGS = {"record.batch.max.decompressed.bytes": "100000"}
MAX_BYTES = 20_000
"""`max.message.bytes` of the topics."""


def changed(payload: bytes, **fields: int) -> bytes:
    """Returns a batch with header fields changed and the CRC right."""
    header = read_header(payload)._replace(**fields)
    out = bytearray(HEADER.pack(*header) + payload[61:])
    out[17:21] = compute_crc(out, 0, len(out)).to_bytes(4, "big")
    return bytes(out)


def compressed(records: bytes, count: int, codec: Compression = Compression.ZSTD) -> bytes:
    """Returns a batch whose compressed part is these bytes, whatever they are."""
    header = BatchHeader(0, 0, -1, 2, 0, codec, count - 1, NOW_MS, NOW_MS, -1, -1, -1, count)
    return reheader(header, compress(codec, records))


def flipped(payload: bytes, position: int) -> bytes:
    return payload[:position] + bytes((payload[position] ^ 1,)) + payload[position + 1 :]


def old_format(magic: int) -> bytes:
    """A message of Kafka before 0.11: offset, size, CRC, magic, attributes, (timestamp,) key, value."""
    body = bytes((magic, 0)) + (bytes(8) if magic else b"") + b"\xff\xff\xff\xff" + b"\x00\x00\x00\x01v"
    return bytes(8) + (len(body) + 4).to_bytes(4, "big") + bytes(4) + body


GOOD = batch("one", "two")
KEYED = keyed_batch((b"k", b"v"))


class Case(NamedTuple):
    """What is produced to a partition, and how it is refused."""

    name: str
    make: Callable[[], log_pb2.ProducePartition]
    code: ErrorCode
    words: tuple[str, ...]


def bad(name: str, payload: Callable[[], bytes], code: ErrorCode, *words: str, topic: str = "t") -> Case:
    return Case(name, lambda: batches(payload(), topic), code, words)


CORRUPT, INVALID = ErrorCode.corrupt_message, ErrorCode.invalid_record
record = common_pb2.Record

CASES = [
    # Where to
    bad(
        "unknown topic", lambda: GOOD, ErrorCode.unknown_topic_or_partition, "'nowhere' does not exist", topic="nowhere"
    ),
    bad("empty topic", lambda: GOOD, ErrorCode.unknown_topic_or_partition, "'' does not exist", topic=""),
    Case(
        "unknown partition",
        lambda: batches(GOOD, partition=4),
        ErrorCode.unknown_topic_or_partition,
        ("'t' has no partition 4", "0 to 0"),
    ),
    Case(
        "negative partition",
        lambda: batches(GOOD, partition=-1),
        ErrorCode.unknown_topic_or_partition,
        ("'t' has no partition -1",),
    ),
    # Bytes that are no batch
    bad("no bytes", lambda: b"", INVALID, "holds no record batch"),
    bad("junk", lambda: b"\xff" * 100, CORRUPT, "magic -1"),
    bad("one byte", lambda: b"\0", CORRUPT, "truncated record batch: 1 bytes are left", "takes 61"),
    bad("header cut short", lambda: GOOD[:60], CORRUPT, "truncated record batch: 60 bytes are left"),
    bad("cut short", lambda: GOOD[:-1], CORRUPT, "truncated record batch", f"claims {len(GOOD)} bytes"),
    bad("cut short behind a good one", lambda: GOOD + GOOD[:-5], CORRUPT, "truncated record batch"),
    bad("bytes behind the last", lambda: GOOD + b"xyz", CORRUPT, "truncated record batch: 3 bytes are left"),
    bad("wrong CRC", lambda: flipped(GOOD, len(GOOD) - 1), CORRUPT, "wrong CRC", "0x"),
    bad("wrong CRC in its header", lambda: flipped(GOOD, 30), CORRUPT, "wrong CRC"),
    bad("wrong CRC in the second", lambda: GOOD + flipped(GOOD, 80), CORRUPT, "wrong CRC"),
    # Lengths and counts
    bad("length beyond its bytes", lambda: changed(GOOD, batch_length=2**31 - 1), CORRUPT, "truncated", "2147483659"),
    bad("negative length", lambda: changed(GOOD, batch_length=-5), CORRUPT, "claims a length of -5"),
    bad("length below a header", lambda: changed(GOOD, batch_length=48), CORRUPT, "claims a length of 48", "49"),
    bad("no records", lambda: changed(GOOD, record_count=0, last_offset_delta=-1), INVALID, "claims 0 records"),
    bad("negative count", lambda: changed(GOOD, record_count=-1), INVALID, "claims -1 records"),
    bad(
        "count beyond its bytes",
        lambda: changed(GOOD, record_count=2**31 - 1, last_offset_delta=2**31 - 2),
        INVALID,
        "claims 2147483647 records",
        "can't hold",
    ),
    bad("count unlike its offsets", lambda: changed(GOOD, last_offset_delta=9), INVALID, "claims 2 records", "9"),
    bad("negative offsets", lambda: changed(GOOD, last_offset_delta=-9), INVALID, "last offset delta of -9"),
    bad(
        "count beyond what may come out of it",
        lambda: changed(compressed(b"\0" * 50_000, 1), record_count=20_000, last_offset_delta=19_999),
        INVALID,
        "claims 20000 records",
        "100000 bytes can hold",
    ),
    # Kinds
    bad("magic 0", lambda: old_format(0), CORRUPT, "magic 0", "not supported"),
    bad("magic 1", lambda: old_format(1), CORRUPT, "magic 1", "not supported"),
    bad("magic 0 as long as a batch", lambda: changed(GOOD, magic=0), CORRUPT, "magic 0"),
    bad("magic 3", lambda: changed(GOOD, magic=3), CORRUPT, "magic 3"),
    bad("unknown codec", lambda: changed(GOOD, attributes=5), INVALID, "compression codec 5"),
    bad("control batch", lambda: marker(), INVALID, "control batches"),
    bad("transactional of nobody", lambda: changed(GOOD, attributes=16), INVALID, "transaction"),
    bad(
        "of no transaction",
        lambda: changed(identity(5, 0, 0), attributes=16),
        ErrorCode.invalid_txn_state,
        "transaction",
    ),
    bad("LogAppendTime of its own", lambda: changed(GOOD, attributes=8), ErrorCode.invalid_timestamp, "LogAppendTime"),
    # Producers
    bad("negative producer id", lambda: identity(-2, 0, 0), INVALID, "at least 0", "-2"),
    bad("negative epoch", lambda: identity(5, -1, 0), INVALID, "at least 0", "-1"),
    bad("negative sequence", lambda: identity(5, 0, -1), INVALID, "at least 0", "-1"),
    bad("two idempotent batches", lambda: identity(5, 0, 0) + identity(5, 0, 2), INVALID, "one record batch", "2"),
    # Timestamps
    bad(
        "ahead of time",
        lambda: batch("x", timestamp_ms=2**62),
        ErrorCode.invalid_timestamp,
        str(2**62),
        "message.timestamp.after.max.ms=3600000",
    ),
    bad(
        "behind its time",
        lambda: batch("x", timestamp_ms=5),
        ErrorCode.invalid_timestamp,
        "timestamp 5",
        "message.timestamp.before.max.ms=1000",
        topic="young",
    ),
    # Sizes
    bad(
        "batch over max.message.bytes",
        lambda: batch(b"x" * MAX_BYTES),
        ErrorCode.message_too_large,
        f"max.message.bytes={MAX_BYTES}",
        "raise that setting",
    ),
    bad(
        "second batch over it", lambda: GOOD + batch(b"x" * MAX_BYTES), ErrorCode.message_too_large, "max.message.bytes"
    ),
    Case(
        "plain record over it",
        lambda: plain(record(value=b"x" * MAX_BYTES)),
        ErrorCode.message_too_large,
        (f"max.message.bytes={MAX_BYTES}",),
    ),
    Case(
        "plain records over it together",
        lambda: plain(*[record(value=b"x" * 1000)] * 30),
        ErrorCode.message_too_large,
        ("30 records", f"max.message.bytes={MAX_BYTES}", "send fewer"),
    ),
    bad(
        "list over segment.bytes",
        lambda: batch(b"x" * 900) * 3,
        ErrorCode.record_list_too_large,
        "segment.bytes=2048",
        topic="small",
    ),
    # Plain records
    Case("no plain records", lambda: plain(), INVALID, ("records holds no record",)),
    Case("neither kind of data", lambda: log_pb2.ProducePartition(topic="t"), INVALID, ("either batches or records",)),
    Case(
        "negative timestamp",
        lambda: plain(record(), record(timestamp=-5)),
        INVALID,
        ("record 1 of the list", "timestamp -5"),
    ),
    Case(
        "largest timestamp", lambda: plain(record(timestamp=2**63 - 1)), INVALID, ("record 0", f"timestamp {2**63 - 1}")
    ),
    # Where records are decoded on their way in
    bad("no key", lambda: keyed_batch((b"k", b"v"), (None, b"v")), INVALID, "record 1 has no key", topic="keyed"),
    bad(
        "decompression bomb",
        lambda: compressed(b"\0" * 50_000_000, 1),
        INVALID,
        "100000",
        "decoded when they arrive",
        topic="keyed",
    ),
    bad("not compressed at all", lambda: changed(KEYED, attributes=4), INVALID, "zstd", topic="keyed"),
    bad("records of nothing", lambda: compressed(b"\0" * 30, 2), INVALID, "record 1 of 2", topic="keyed"),
    bad("fewer records than claimed", lambda: more_claimed(), INVALID, "record 3 of 3", topic="keyed"),
]


def marker() -> bytes:
    return build_marker(
        EndTransactionMarker(ControlType.COMMIT, 0), timestamp_ms=NOW_MS, producer_id=1, producer_epoch=0
    )


def identity(producer_id: int, epoch: int, sequence: int) -> bytes:
    return changed(GOOD, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)


def more_claimed() -> bytes:
    whole = keyed_batch((b"k", b"v" * 50), (b"l", b"w" * 50))
    return changed(whole, record_count=3, last_offset_delta=2)


@pytest.fixture
async def ready(server: Server) -> Server:
    """A server with topics that have records."""
    await server.topic("t", max_message_bytes=str(MAX_BYTES))
    await server.topic("young", message_timestamp_before_max_ms="1000")
    await server.topic("small", segment_bytes="2048")
    await server.topic("keyed", cleanup_policy="compact", max_message_bytes=str(MAX_BYTES))
    await server.store(GOOD)
    await server.store(KEYED, topic="keyed")
    return server


@pytest.mark.parametrize("server", [SETTINGS], indirect=True)
async def test_what_may_not_be_produced_is_refused_and_harms_nothing(ready: Server) -> None:
    stream = ProduceStream(ready)
    number = 0
    for case in CASES:
        # What is durable is asked for last: behind it, all before can be read.
        for acks in (log_pb2.ACKS_NONE, log_pb2.ACKS_ALL):
            # In one request with good ones around it, as one call and on a stream.
            items = [batches(batch("before")), case.make(), batches(batch("behind"))]
            response = await ready.log.Produce(log_pb2.ProduceRequest(partitions=items, acks=acks))
            number += 1
            await stream.send(number, *items, acks=acks)
            for results in (response.results, await stream.answer(number)):
                before, refusal, behind = results
                assert not before.HasField("error") and not behind.HasField("error"), case.name
                assert behind.base_offset == before.base_offset + 1, case.name
                assert (refusal.base_offset, refusal.last_offset) == (-1, -1) and not refusal.duplicate, case.name
                try:
                    check_error(refusal.error, case.code, *case.words)
                except AssertionError as error:
                    raise AssertionError(f"{case.name}: {error}") from error
    await stream.end()
    assert await ready.read_all() == [b"one", b"two"] + [b"before", b"behind"] * (4 * len(CASES))
    assert await ready.read_all("keyed") == [b"v"]
    for topic in ("young", "small"):
        assert await ready.read_all(topic) == []
        payload = batch("fine", timestamp_ms=ready.daemon._clock.now_ms())
        await ready.store(payload, topic=topic)
        assert await ready.read_all(topic) == [b"fine"]
    await ready.store(KEYED, topic="keyed")


@pytest.mark.parametrize("server", [SETTINGS], indirect=True)
async def test_every_cut_of_a_batch_is_refused(ready: Server) -> None:
    items = [batches(GOOD[:size]) for size in range(len(GOOD))]
    results = (await ready.log.Produce(log_pb2.ProduceRequest(partitions=items))).results
    assert {result.error.name for result in results[1:]} == {"CORRUPT_MESSAGE"}
    assert results[0].error.name == "INVALID_RECORD"
    assert await ready.read_all() == [b"one", b"two"]


@pytest.mark.parametrize("server", [SETTINGS], indirect=True)
async def test_every_flipped_bit_of_a_batch_is_refused_unless_it_is_the_servers_to_set(ready: Server) -> None:
    items = []
    for position in range(len(GOOD)):
        for bit in range(8):
            data = bytearray(GOOD)
            data[position] ^= 1 << bit
            items.append(batches(bytes(data)))
    results = (await ready.log.Produce(log_pb2.ProduceRequest(partitions=items))).results
    stored = [number // 8 for number, result in enumerate(results) if not result.HasField("error")]
    # Base offset (8 bytes) and leader epoch (4 bytes) are stamped by the server, so what stands there does not matter.
    assert stored == [position for position in (*range(8), *range(12, 16)) for _ in range(8)]
    assert await ready.read_all() == [b"one", b"two"] * (1 + len(stored))


NAMES: list[tuple[str, str]] = [
    ("", "it is empty"),
    (".", "no names"),
    ("..", "no names"),
    ("a b", "only letters and digits"),
    ("a/b", "only letters and digits"),
    ("../../etc", "only letters and digits"),
    ("a\0b", "only letters and digits"),
    ("naïve", "only letters and digits"),
    ("a" * 250, "250 characters, 249 are allowed"),
    ("__consumer_offsets", "keeps this name for itself"),
    ("__logserver_metadata", "keeps this name for itself"),
]


async def test_topic_names_that_may_not_be(server: Server) -> None:
    for name, words in NAMES:
        with refused(ErrorCode.invalid_topic_exception, grpc.StatusCode.INVALID_ARGUMENT, "is not valid", words):
            await server.topic(name)
    assert not (await server.admin.ListTopics(admin_pb2.ListTopicsRequest())).topics
    assert [path.name for path in server.path.iterdir() if path.is_dir()] == ["__logserver_metadata-0"]


SETTING_CASES: list[tuple[dict[str, str], str]] = [
    ({"retention.mss": "1"}, "did you mean retention.ms"),
    ({"log.retention.ms": "1"}, "the topic's is retention.ms"),
    ({"": "1"}, "is not a setting of a topic"),
    ({"retention.ms": ""}, "retention.ms can't be ''"),
    ({"retention.ms": "1.5"}, "retention.ms can't be '1.5'"),
    ({"retention.ms": "-2"}, "too small"),
    ({"segment.bytes": "-1"}, "too small"),
    ({"max.message.bytes": "99999999999"}, "too large"),
    ({"max.message.bytes": "9" * 5000}, "max.message.bytes can't be"),
    ({"cleanup.policy": "keep"}, "delete"),
    ({"min.cleanable.dirty.ratio": "nan"}, "min.cleanable.dirty.ratio can't be 'nan'"),
    ({"min.insync.replicas": "2"}, "too large"),
    ({"compression.type": "brotli"}, "producer"),
]


async def test_settings_that_may_not_be(server: Server) -> None:
    await server.topic()
    for settings, words in SETTING_CASES:
        with refused(ErrorCode.invalid_config, grpc.StatusCode.INVALID_ARGUMENT, words):
            await server.admin.CreateTopic(admin_pb2.CreateTopicRequest(name="new", settings=settings))
        with refused(ErrorCode.invalid_config, grpc.StatusCode.INVALID_ARGUMENT, words):
            await server.admin.AlterTopic(admin_pb2.AlterTopicRequest(name="t", set=settings))
    assert [topic.name for topic in (await server.admin.ListTopics(admin_pb2.ListTopicsRequest())).topics] == ["t"]


EMPTY: list[tuple[str, Any, ErrorCode, str]] = [
    ("CreateTopic", admin_pb2.CreateTopicRequest(), ErrorCode.invalid_topic_exception, "it is empty"),
    ("DeleteTopic", admin_pb2.DeleteTopicRequest(), ErrorCode.unknown_topic_or_partition, "''"),
    ("DescribeTopic", admin_pb2.DescribeTopicRequest(), ErrorCode.unknown_topic_or_partition, "''"),
    ("AlterTopic", admin_pb2.AlterTopicRequest(), ErrorCode.unknown_topic_or_partition, "''"),
    ("CreatePartitions", admin_pb2.CreatePartitionsRequest(), ErrorCode.unknown_topic_or_partition, "''"),
    ("DeleteRecords", admin_pb2.DeleteRecordsRequest(), ErrorCode.unknown_topic_or_partition, "''"),
]


async def test_empty_requests_that_need_a_name(server: Server) -> None:
    for method, request, code, words in EMPTY:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(server.admin, method)(request)
        assert words in caught.value.details() and caught.value.code().name in ("INVALID_ARGUMENT", "NOT_FOUND")
        from .servers import error_info

        assert error_info(caught.value).reason == code.name.upper()


async def test_empty_requests_that_ask_for_nothing_get_nothing(server: Server) -> None:
    assert not (await server.log.Produce(log_pb2.ProduceRequest())).results
    assert not (await server.log.Fetch(log_pb2.FetchRequest())).partitions
    assert not (await server.log.ListOffsets(log_pb2.ListOffsetsRequest())).results
    stream = ProduceStream(server)
    await stream.send(0)
    await stream.end()
    assert list(stream.answers[0]) == []


@pytest.mark.parametrize("server", [SETTINGS], indirect=True)
async def test_offsets_that_are_not_there(ready: Server) -> None:
    for offset in (-1, 3, 2**63 - 1, -(2**63)):
        words = (f"offset {offset} of t-0 is out of range", "from 0 to 2")
        data = await ready.fetch(offset)
        check_error(data.error, ErrorCode.offset_out_of_range, *words)
        assert (data.next_offset, data.high_watermark, data.log_start_offset) == (offset, 2, 0)
        check_error((await ready.offset(at(offset=offset))).error, ErrorCode.offset_out_of_range, *words)
