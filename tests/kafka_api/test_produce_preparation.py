"""Records that take long to check or to compress anew keep their order, and hold up nobody else."""

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from logserver_records.codec import build_batch
from logserver_records.compression import Compression
from logserver_segments.log import log as log_module
from logserver_segments.preparation import prepare

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .fetching import fetch, read, target
from .raw_client import METADATA, PRODUCE, RawClient
from .records import batch, create_topic, produce, produce_request
from .transactional import TransactionalProducer

RANDOM = random.Random(1)
LARGE = RANDOM.randbytes(20_000).hex()


# What is stored counts as durable, so that it can be read at once.
RELAXED = {"flush.messages": "1000000000"}


def now_ms() -> int:
    return int(time.time() * 1000)


class Gate:
    """Holds up the worker threads that prepare payloads."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()
        self.payloads = 0

    def __call__(self, *arguments: Any) -> Any:
        self.payloads += 1
        self.reached.release()
        assert self.opened.wait(60)
        return prepare(*arguments)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(log_module, "prepare", gate)
    yield gate
    gate.opened.set()


@pytest.fixture
def recompressing(server: LogServer) -> str:
    create_topic(server, "zipped", settings={"compression.type": "gzip", **RELAXED})
    return "zipped"


def test_others_are_served_meanwhile(server: LogServer, client: RawClient, recompressing: str, gate: Gate) -> None:
    create_topic(server)
    client.send(PRODUCE, 12, produce_request(batch(LARGE), recompressing))
    assert gate.reached.acquire(timeout=60)
    with RawClient(server.kafka) as other:
        assert other.call(METADATA, 12, {"topics": None, "allow_auto_topic_creation": False}).topics
        assert produce(other, batch("a")).error_code == 0
        # Also to the same partition.
        assert produce(other, batch("small"), recompressing).base_offset == 0
    gate.opened.set()
    (partition,) = client.receive().responses[0].partition_responses
    assert (partition.error_code, partition.base_offset) == (0, 1)
    assert read(client, target(0, topic=recompressing)) == [["small", LARGE]]


@pytest.mark.parametrize("acks", [-1, 1])
@pytest.mark.parametrize("is_idempotent", [False, True])
def test_requests_of_a_connection_keep_their_order(
    server: LogServer, client: RawClient, recompressing: str, gate: Gate, acks: int, is_idempotent: bool
) -> None:
    # The first goes the long way, as do those behind a large one; what they have in common lets them try the short one.
    expected = ["0", LARGE, "2", "3", LARGE, "5"]
    for sequence, value in enumerate(expected):
        producer: dict[str, Any] = (
            {"producer_id": 7, "producer_epoch": 0, "base_sequence": sequence} if is_idempotent else {}
        )
        records = batch(value, **producer)
        client.send(PRODUCE, 12, produce_request(records, recompressing, acks=acks))
    assert gate.reached.acquire(timeout=60)
    gate.opened.set()
    for offset in range(len(expected)):
        (partition,) = client.receive().responses[0].partition_responses
        assert (partition.error_code, partition.base_offset) == (0, offset)
    assert gate.payloads == 2
    assert read(client, target(0, topic=recompressing)) == [expected]


def test_partitions_of_a_request_fare_each_by_itself(server: LogServer, client: RawClient, gate: Gate) -> None:
    create_topic(server, "compacted", settings={"cleanup.policy": "compact", "compression.type": "zstd"})
    create_topic(server)
    gate.opened.set()
    keyed = build_batch([(now_ms(), b"k", LARGE.encode(), ())])
    half_keyed = build_batch([(now_ms(), key, LARGE.encode(), ()) for key in (b"k", None, b"k", None)])
    data = [
        {"name": name, "partition_data": [{"index": 0, "records": records}]}
        for name, records in (("t", batch("a")), ("compacted", half_keyed), ("nowhere", keyed), ("compacted", keyed))
    ]
    response = client.call(PRODUCE, 12, {"transactional_id": None, "acks": -1, "timeout_ms": 9000, "topic_data": data})
    found = [topic.partition_responses[0] for topic in response.responses]
    codes = ErrorCode.none, ErrorCode.invalid_record, ErrorCode.unknown_topic_or_partition, ErrorCode.none
    assert [one.error_code for one in found] == [code.value for code in codes]
    assert [one.batch_index for one in found[1].record_errors] == [1, 3]
    assert gate.payloads == 2


def test_a_small_batch_that_grows_large_is_no_shortcut(server: LogServer, client: RawClient, gate: Gate) -> None:
    create_topic(server, "compacted", settings={"cleanup.policy": "compact", **RELAXED})
    gate.opened.set()
    small = build_batch([(now_ms(), b"k", b"v", ())], compression=Compression.ZSTD)
    bomb = build_batch([(now_ms(), b"k", bytes(1_000_000), ())], compression=Compression.ZSTD)
    assert len(bomb) < 1000
    for records, prepared in ((small, 0), (small, 0), (bomb, 1), (small, 1), (bomb, 2)):
        assert produce(client, records, "compacted").error_code == 0
        assert gate.payloads == prepared


def test_without_acknowledgement_a_refusal_ends_the_connection(
    server: LogServer, client: RawClient, gate: Gate
) -> None:
    create_topic(server, "compacted", settings={"cleanup.policy": "compact", **RELAXED})
    gate.opened.set()
    client.send(PRODUCE, 12, produce_request(build_batch([(now_ms(), b"k", LARGE.encode(), ())]), "compacted", acks=0))
    client.skip()
    client.send(PRODUCE, 12, produce_request(batch(LARGE), "compacted", acks=0))
    client.skip()
    assert client.is_closed()
    with RawClient(server.kafka) as other:
        assert len(read(other, target(0, topic="compacted"))[0]) == 1


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_what_a_client_has_sent_is_stored_when_it_has_gone(
    server: LogServer, client: RawClient, recompressing: str, gate: Gate, acks: int
) -> None:
    for _ in range(3):
        client.send(PRODUCE, 12, produce_request(batch(LARGE), recompressing, acks=acks))
    assert gate.reached.acquire(timeout=60)
    client.close()
    while connections(server):
        pass
    gate.opened.set()
    with RawClient(server.kafka) as other:
        assert fetch(other, target(0, topic=recompressing), min_bytes=50_000, max_wait_ms=60_000).error_code == 0
        assert read(other, target(0, topic=recompressing)) == [[LARGE] * 3]


def test_what_clients_leave_behind_is_bounded() -> None:
    settings = {"connection.max.inflight.bytes": "65536"}
    with LogServer(settings=settings) as server, pytest.MonkeyPatch.context() as patch:
        create_topic(server, "zipped", settings={"compression.type": "gzip", **RELAXED})
        gate = Gate()
        patch.setattr(log_module, "prepare", gate)
        # The first takes what there is, and is in the hands of the worker thread.
        for _ in range(2):
            with RawClient(server.kafka) as client:
                client.send(PRODUCE, 12, produce_request(batch(LARGE), "zipped"))
                assert gate.reached.acquire(timeout=60)
            while connections(server):
                pass
        gate.opened.set()
        with RawClient(server.kafka) as other:
            assert produce(other, batch("a"), "zipped").error_code == 0
            (values,) = read(other, target(0, topic="zipped"))
            assert values.count(LARGE) <= 1


def connections(server: LogServer) -> int:
    async def count(daemon: Any) -> int:
        return len(daemon._kafka)

    return server.call(count)


def test_a_transaction_s_records_keep_their_order(
    server: LogServer, client: RawClient, recompressing: str, gate: Gate
) -> None:
    producer = TransactionalProducer(client)
    assert producer.init() is ErrorCode.none
    expected = [LARGE, "1", LARGE, "3"]
    for sequence, value in enumerate(expected):
        records = batch(
            value,
            producer_id=producer.producer_id,
            producer_epoch=producer.epoch,
            base_sequence=sequence,
            is_transactional=True,
        )
        client.send(PRODUCE, 12, produce_request(records, recompressing) | {"transactional_id": "x"})
    gate.opened.set()
    for offset in range(len(expected)):
        (partition,) = client.receive().responses[0].partition_responses
        assert (partition.error_code, partition.base_offset) == (0, offset)
    assert read(client, target(0, topic=recompressing)) == [expected]


@pytest.mark.parametrize("value", ["v", LARGE])
def test_a_refused_batch_of_an_idempotent_producer_uses_up_no_sequence(
    server: LogServer, client: RawClient, value: str
) -> None:
    create_topic(server, "compacted", settings={"cleanup.policy": "compact", **RELAXED})

    def numbered(sequence: int, *keys: bytes | None) -> bytes:
        records = [(now_ms(), key, value.encode(), ()) for key in keys]
        return build_batch(records, producer_id=7, producer_epoch=0, base_sequence=sequence)

    assert produce(client, numbered(0, b"k"), "compacted").base_offset == 0
    refused = produce(client, numbered(1, b"k", None, b"k", None), "compacted")
    assert refused.error_code == ErrorCode.invalid_record.value
    assert [one.batch_index for one in refused.record_errors] == [1, 3]
    assert all("no key" in one.batch_index_error_message for one in refused.record_errors)
    # What comes behind it is out of order as long as it is missing.
    gap = produce(client, numbered(5, b"k"), "compacted")
    assert gap.error_code == ErrorCode.out_of_order_sequence_number.value
    assert produce(client, numbered(1, b"k", b"k"), "compacted").base_offset == 1
    # And again.
    assert produce(client, numbered(1, b"k", b"k"), "compacted").base_offset == 1
    assert [len(values) for values in read(client, target(0, topic="compacted"))] == [3]
