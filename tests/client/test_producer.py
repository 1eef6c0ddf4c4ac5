"""The synchronous producer against a real server."""

import threading
from collections import defaultdict
from collections.abc import Callable
from itertools import islice, pairwise

import pytest
from logserver_client import (
    AdminClient,
    BufferFull,
    BytesRecord,
    ClientClosed,
    ConnectionFailed,
    Consumer,
    InvalidRecord,
    LogServerError,
    MessageTooLarge,
    Producer,
    RecordMetadata,
    RequestTimedOut,
    SerializationError,
    UnknownTopicOrPartition,
    partition_for_key,
    replay,
)
from logserver_client._produce.config import CompressionName

from logserver.testing import LogServer

NewTopic = Callable[..., str]


def read(address: str, topic: str) -> list[BytesRecord]:
    return list(replay(address, topic))


def test_a_record_is_stored_as_it_was_sent(address: str, topic: str) -> None:
    with Producer(address) as producer:
        future = producer.send(topic, b"value", key=b"key", headers=[("h", b"1"), ("h", None)], timestamp_ms=1234)
        assert future.result(30) == RecordMetadata(topic, 0, 0, 1234)
    (record,) = read(address, topic)
    assert record[:6] == (topic, 0, 0, 1234, b"key", b"value")
    assert list(record.headers) == [("h", b"1"), ("h", None)]


def test_null_and_empty_are_told_apart(address: str, topic: str) -> None:
    with Producer(address) as producer:
        producer.send(topic, None, key=b"")
        producer.send(topic, b"", key=None)
    assert [(record.key, record.value) for record in read(address, topic)] == [(b"", None), (None, b"")]


def test_close_sends_what_lingers(address: str, topic: str) -> None:
    with Producer(address, linger_ms=60_000) as producer:
        futures = [producer.send(topic, b"x") for _ in range(10)]
    assert [future.result(0).offset for future in futures] == list(range(10))


def test_flush_sends_what_lingers(address: str, topic: str) -> None:
    with Producer(address, linger_ms=60_000) as producer:
        future = producer.send(topic, b"x")
        assert not future.done()
        producer.flush(30)
        assert future.result(0).offset == 0


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read_back(address: str, topic: str, compression: CompressionName) -> None:
    values = [b"%d " % n * 50 for n in range(1000)]
    with Producer(address, compression=compression) as producer:
        for value in values:
            producer.send(topic, value)
    assert [record.value for record in read(address, topic)] == values


def test_keys_decide_the_partition_as_in_kafka_and_keep_their_order(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(5)
    with Producer(address, batch_size=500) as producer:
        for n in range(2000):
            producer.send(topic, str(n).encode(), key=str(n % 37).encode())
    by_key = defaultdict(list)
    for record in read(address, topic):
        assert record.key is not None and record.value is not None
        assert record.partition == partition_for_key(record.key, 5)
        by_key[record.key].append(int(record.value))
    assert sum(map(len, by_key.values())) == 2000
    assert all(a < b for values in by_key.values() for a, b in pairwise(values))


def test_a_partition_can_be_named_and_chosen_by_a_function(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(3)

    def choose(name: str, key: bytes | None, partitions: int) -> int | None:
        assert (name, partitions) == (topic, 3)
        return None if key is None else len(key)

    with Producer(address, partitioner=choose) as producer:
        assert producer.send(topic, b"x", key=b"kk").result(30).partition == 2
        assert producer.send(topic, b"x", partition=1).result(30).partition == 1
        assert producer.send(topic, b"x").result(30).partition in (0, 1, 2)
        with pytest.raises(UnknownTopicOrPartition, match="0 to 2, not 7"):
            producer.send(topic, b"x", key=b"seventh")
        with pytest.raises(UnknownTopicOrPartition, match="not -1"):
            producer.send(topic, b"x", partition=-1)


def test_records_without_a_key_reach_every_partition(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(4)
    with Producer(address, batch_size=1000) as producer:
        for _ in range(1000):
            producer.send(topic, b"x" * 100)
    assert {record.partition for record in read(address, topic)} == {0, 1, 2, 3}


def test_callbacks_get_metadata_or_the_error(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(1, cleanup_policy="compact")
    delivered: list[tuple[RecordMetadata | None, LogServerError | None]] = []
    with Producer(address, linger_ms=0) as producer:
        producer.send(topic, b"x", key=b"k", on_delivery=lambda data, error: delivered.append((data, error)))
        producer.flush(30)
        producer.send(topic, b"x", on_delivery=lambda data, error: delivered.append((data, error)))
        producer.flush(30)
    (data, nothing), (none, error) = delivered
    assert data is not None and data.offset == 0 and nothing is None
    assert none is None and isinstance(error, InvalidRecord)


def test_a_refused_record_does_not_hold_up_those_behind(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(1, cleanup_policy="compact")
    with Producer(address, batch_size=1) as producer:
        futures = [producer.send(topic, b"x", key=None if n % 7 == 3 else b"k") for n in range(70)]
    errors = [future.exception(0) for future in futures]
    assert [n for n, error in enumerate(errors) if error is not None] == list(range(3, 70, 7))
    assert [future.result(0).offset for future, error in zip(futures, errors, strict=True) if error is None] == list(
        range(60)
    )


def test_a_batch_over_the_topics_limit_is_split_until_it_fits(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(1, max_message_bytes=2000)
    with Producer(address, linger_ms=50) as producer:
        futures = [producer.send(topic, b"%03d" % n * 100) for n in range(100)]
    assert [future.result(0).offset for future in futures] == list(range(100))
    assert [record.value for record in read(address, topic)] == [b"%03d" % n * 100 for n in range(100)]


def test_a_record_over_the_topics_limit_gets_the_servers_error(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(1, max_message_bytes=2000)
    with Producer(address, linger_ms=50) as producer:
        futures = [producer.send(topic, b"x" * (5000 if n == 4 else 50)) for n in range(10)]
        producer.flush(30)
        error = futures[4].exception(0)
        assert isinstance(error, MessageTooLarge)
        assert "max.message.bytes" in error.message and "2000" in error.message
        assert all(future.exception(0) is None for n, future in enumerate(futures) if n != 4)


def test_a_record_over_the_message_limit_is_refused_at_once(address: str, topic: str) -> None:
    with Producer(address, batch_size=100_000, max_request_size=200_000) as producer:
        with pytest.raises(MessageTooLarge, match="max_request_size=200000"):
            producer.send(topic, b"x" * 200_000)
        assert producer.send(topic, b"x" * 150_000).result(30).offset == 0


def test_a_message_over_the_servers_limit_is_cut_smaller() -> None:
    with LogServer(settings={"grpc.max.message.bytes": "65536"}) as server:
        with AdminClient(server.grpc) as admin:
            admin.create_topic("t", partitions=3)
        with Producer(server.grpc, linger_ms=20) as producer:
            futures = [producer.send("t", b"%04d" % n * 250, partition=n % 3) for n in range(600)]
            producer.flush(60)
            assert all(future.exception(0) is None for future in futures)
            error = producer.send("t", b"x" * 100_000).exception(30)
            assert isinstance(error, MessageTooLarge)
            assert "grpc.max.message.bytes" in error.message
            assert producer.send("t", b"after").exception(30) is None
        values = sorted(record.value or b"" for record in replay(server.grpc, "t"))
        assert values == sorted([b"%04d" % n * 250 for n in range(600)] + [b"after"])


def test_serialisers_make_the_bytes_and_their_errors_name_the_topic(address: str, topic: str) -> None:
    def fail(value: int) -> bytes:
        return str(1 // value).encode()

    with Producer(address, key_serializer=str.encode, value_serializer=fail) as producer:
        producer.send(topic, 1, key="one")
        producer.send(topic, None, key=None)
        with pytest.raises(SerializationError, match=topic) as raised:
            producer.send(topic, 0)
        assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert [(record.key, record.value) for record in read(address, topic)] == [(b"one", b"1"), (None, None)]


@pytest.mark.parametrize("bad", ["text", 5, ["list"]])
def test_other_types_than_bytes_are_refused_with_a_hint(address: str, topic: str, bad: object) -> None:
    with Producer(address, linger_ms=10_000) as producer:
        for _ in range(2):
            with pytest.raises(TypeError, match="value_serializer"):
                producer.send(topic, bad)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="key_serializer"):
                producer.send(topic, b"", key=bad)  # type: ignore[arg-type]
            producer.send(topic, b"good")
    assert [record.value for record in read(address, topic)] == [b"good", b"good"]


def test_an_unknown_topic_is_an_error_of_send(address: str) -> None:
    with Producer(address) as producer, pytest.raises(UnknownTopicOrPartition):
        producer.send("nobody-created-this", b"x")


def test_acks_of_the_leader_gives_offsets_and_none_gives_none(address: str, topic: str) -> None:
    with Producer(address, acks=1) as producer:
        assert producer.send(topic, b"x").result(30).offset == 0
    with Producer(address, acks=0) as producer:
        futures = [producer.send(topic, b"y") for _ in range(1000)]
    assert {future.result(0).offset for future in futures} == {-1}
    with Consumer(address) as consumer:
        consumer.assign(topic)
        # Not by the high watermark, which nobody has waited for.
        assert [record.value for record in islice(consumer, 1001)] == [b"x"] + [b"y"] * 1000


def test_log_append_time_is_in_the_metadata(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(1, message_timestamp_type="LogAppendTime")
    with Producer(address) as producer:
        data = producer.send(topic, b"x", timestamp_ms=1).result(30)
    assert data.timestamp_ms > 1_000_000_000_000
    assert data.timestamp_ms == read(address, topic)[0].timestamp_ms


def test_many_threads_share_a_producer(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(3)

    def send(thread: int) -> None:
        for n in range(500):
            producer.send(topic, b"%d %d" % (thread, n), key=b"%d" % thread)

    with Producer(address, batch_size=2000) as producer:
        threads = [threading.Thread(target=send, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    by_thread = defaultdict(list)
    for record in read(address, topic):
        thread_number, n = map(int, (record.value or b"").split())
        by_thread[thread_number].append(n)
    assert by_thread == {thread: list(range(500)) for thread in range(6)}


def test_partitions_that_a_topic_gets_later_are_used(address: str, topic: str) -> None:
    with Producer(address) as producer:
        producer.send(topic, b"x").result(30)
        with AdminClient(address) as admin:
            admin.create_partitions(topic, 3)
        with pytest.raises(UnknownTopicOrPartition):
            producer.send(topic, b"x", partition=2)
    with Producer(address) as producer:
        assert producer.send(topic, b"x", partition=2).result(30).offset == 0


def test_a_topic_deleted_under_way_fails_its_records(address: str, topic: str) -> None:
    with Producer(address, delivery_timeout_ms=30_000) as producer:
        producer.send(topic, b"x").result(30)
        with AdminClient(address) as admin:
            admin.delete_topic(topic)
        assert isinstance(producer.send(topic, b"x").exception(30), UnknownTopicOrPartition)


def test_a_topic_created_anew_with_fewer_partitions_is_found_out(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(3)
    with Producer(address, delivery_timeout_ms=1_500) as producer, AdminClient(address) as admin:
        producer.send(topic, b"x", partition=2).result(30)
        admin.delete_topic(topic)
        admin.create_topic(topic, partitions=1)
        assert producer.send(topic, b"x", partition=2).exception(30) is not None
        assert producer.send(topic, b"x", partition=0).result(30).offset == 0


def test_nothing_can_be_sent_after_close(address: str, topic: str) -> None:
    producer = Producer(address)
    producer.send(topic, b"x")
    producer.close()
    producer.close()
    with pytest.raises(ClientClosed):
        producer.send(topic, b"x")
    with pytest.raises(ClientClosed):
        producer.send("another", b"x")


def test_an_unclosed_producer_is_warned_about(address: str) -> None:
    producer: Producer[bytes, bytes] = Producer(address)
    with pytest.warns(ResourceWarning, match="unclosed"):
        producer.__del__()
    producer.close()


def test_a_callback_may_send_but_must_not_wait(address: str, topic: str) -> None:
    seen: list[object] = []
    done = threading.Event()

    def callback(data: RecordMetadata | None, error: LogServerError | None) -> None:
        seen.append(producer.send(topic, b"second"))
        try:
            producer.flush()
        except RuntimeError as refused:
            seen.append(refused)
        done.set()

    with Producer(address) as producer:
        producer.send(topic, b"first", on_delivery=callback)
        assert done.wait(30)
    assert "must not" in str(seen[1])
    assert [record.value for record in read(address, topic)] == [b"first", b"second"]


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with LogServer() as server:
        return server.grpc


def test_a_server_that_is_not_there_is_an_error_within_the_timeout(nobody: str) -> None:
    with Producer(nobody, request_timeout_ms=300) as producer, pytest.raises(ConnectionFailed, match=nobody):
        producer.send("t", b"x")


def test_max_block_bounds_the_wait_for_a_topic(nobody: str) -> None:
    with Producer(nobody, max_block_ms=200) as producer, pytest.raises(RequestTimedOut, match="max_block_ms=200"):
        producer.send("t", b"x")


def test_a_full_buffer_blocks_and_then_raises() -> None:
    server = LogServer()
    server.start()
    with AdminClient(server.grpc) as admin:
        admin.create_topic("t", partitions=1)
    with Producer(
        server.grpc, buffer_memory=100_000, batch_size=10_000, max_block_ms=200, delivery_timeout_ms=2_000
    ) as producer:
        producer.send("t", b"x").result(30)
        server.close()
        futures = []
        with pytest.raises(BufferFull, match="buffer_memory=100000"):
            while True:
                futures.append(producer.send("t", b"x" * 1000))
        assert 80 <= len(futures) <= 100
        error = futures[0].exception(30)
        assert error is not None and "delivery_timeout_ms=2000" in error.message
        producer.flush(30)
        assert producer._core.accumulator.pool.free_bytes == 100_000


def test_close_with_a_timeout_fails_what_is_left() -> None:
    server = LogServer()
    server.start()
    with AdminClient(server.grpc) as admin:
        admin.create_topic("t", partitions=1)
    producer: Producer[bytes, bytes] = Producer(server.grpc)
    producer.send("t", b"x").result(30)
    server.close()
    future = producer.send("t", b"y")
    producer.close(timeout=0.1)
    assert isinstance(future.exception(0), ClientClosed)
