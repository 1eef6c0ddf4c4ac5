"""Calls that a test has fail: clients see the error that was named, and go on where they may try again."""

from collections.abc import Iterator

import kafka.errors
import logserver_client
import pytest
from confluent_kafka import Consumer as ConfluentConsumer
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka import Producer as ConfluentProducer
from kafka import KafkaConsumer, KafkaProducer
from logserver_client import AdminClient, Consumer, Producer, replay

from logserver.errors import ErrorCode
from logserver.testing import LogServer
from tests.kafka_api.fetching import fetch_request, target
from tests.kafka_api.raw_client import FETCH, RawClient
from tests.kafka_api.records import batch, stored


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer() as server, AdminClient(server.grpc) as admin:
        admin.create_topic("t")
        yield server


def values(server: LogServer) -> list[bytes | None]:
    return [record.value for record in replay(server.grpc, "t")]


def test_kafka_python_sends_again_what_may_be_sent_again(server: LogServer) -> None:
    with KafkaProducer(bootstrap_servers=server.kafka) as producer:
        for number in range(5):
            # Like those before it, so that it would go the short way.
            producer.send("t", b"%d" % number).get(30)
        fault = server.fail("Produce", ErrorCode.not_leader_or_follower, times=2)
        producer.send("t", b"5").get(30)
        assert fault.failed == 2
        producer.send("t", b"6").get(30)
    assert values(server) == [b"%d" % number for number in range(7)]


def test_kafka_python_raises_what_must_not_be_sent_again(server: LogServer) -> None:
    server.fail("Produce", "TOPIC_AUTHORIZATION_FAILED")
    refused = pytest.raises(kafka.errors.TopicAuthorizationFailedError)
    with KafkaProducer(bootstrap_servers=server.kafka) as producer, refused:
        producer.send("t", b"1").get(30)
    assert values(server) == []


def test_librdkafka_sends_again_and_reads_again(server: LogServer) -> None:
    produce = server.fail("Kafka.Produce", "NOT_LEADER_OR_FOLLOWER", times=2)
    producer = ConfluentProducer({"bootstrap.servers": server.kafka, "retry.backoff.ms": 1})
    told: list[object] = []
    producer.produce("t", b"1", on_delivery=lambda error, message: told.append(error))
    producer.flush(30)
    assert told == [None] and produce.failed == 2
    fetch = server.fail("Kafka.Fetch", "NOT_LEADER_OR_FOLLOWER", times=2)
    consumer = ConfluentConsumer({"bootstrap.servers": server.kafka, "group.id": "g", "fetch.error.backoff.ms": 1})
    consumer.assign([TopicPartition("t", 0, 0)])
    assert [message.value() for message in consumer.consume(1, 30)] == [b"1"]
    assert fetch.failed == 2
    consumer.close()


def test_kafka_python_reads_again(server: LogServer) -> None:
    with KafkaProducer(bootstrap_servers=server.kafka) as producer:
        producer.send("t", b"1").get(30)
    with server.fail("Fetch", "KAFKA_STORAGE_ERROR", times=2) as fault:
        settings = {"auto_offset_reset": "earliest", "retry_backoff_ms": 1}
        consumer = KafkaConsumer("t", bootstrap_servers=server.kafka, **settings)
        assert next(consumer).value == b"1"
        assert fault.failed == 2
        consumer.close()


def test_a_fetch_without_a_session_fails_too(server: LogServer) -> None:
    with RawClient(server.kafka) as client:
        stored(client, batch("a"))
        request = fetch_request(target(0))

        def error() -> int:
            (topic,) = client.call(FETCH, 12, request).responses
            (partition,) = topic.partitions
            return int(partition.error_code)

        assert error() == 0
        server.fail("Fetch", "FENCED_LEADER_EPOCH")
        assert [error(), error()] == [ErrorCode.fenced_leader_epoch.value, 0]


def test_a_commit_of_a_kafka_consumer_fails(server: LogServer) -> None:
    consumer = ConfluentConsumer({"bootstrap.servers": server.kafka, "group.id": "g"})
    server.fail("OffsetCommit", "OFFSET_METADATA_TOO_LARGE")
    with pytest.raises(KafkaException, match="OFFSET_METADATA_TOO_LARGE"):
        consumer.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    (done,) = consumer.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    assert done.error is None
    consumer.close()


def test_the_bundled_producer_sends_again_what_may_be_sent_again(server: LogServer) -> None:
    with Producer(server.grpc, retry_backoff_ms=1) as producer:
        producer.send("t", b"1").result(30)
        fault = server.fail("ProduceStream", "NOT_LEADER_OR_FOLLOWER", times=2)
        assert producer.send("t", b"2").result(30).offset == 1
    assert fault.failed == 2
    assert values(server) == [b"1", b"2"]


def test_the_bundled_producer_raises_what_must_not_be_sent_again(server: LogServer) -> None:
    with Producer(server.grpc) as producer:
        server.fail("Log.ProduceStream", "INVALID_RECORD")
        with pytest.raises(logserver_client.InvalidRecord):
            producer.send("t", b"1").result(30)
        producer.send("t", b"2").result(30)
    assert values(server) == [b"2"]


def test_the_bundled_consumer_reads_on(server: LogServer) -> None:
    with Producer(server.grpc) as producer:
        producer.send("t", b"1").result(30)
    fault = server.fail("Subscribe", "NOT_LEADER_OR_FOLLOWER", times=2)
    with Consumer(server.grpc, retry_backoff_ms=1) as consumer:
        consumer.assign("t", at="earliest")
        assert [record.value for record in consumer.poll(30)] == [b"1"]
    assert fault.failed == 2


def test_a_member_of_the_bundled_client_joins_again(server: LogServer) -> None:
    with Producer(server.grpc) as producer:
        producer.send("t", b"1").result(30)
    fault = server.fail("Membership", "COORDINATOR_NOT_AVAILABLE", times=2)
    with Consumer(server.grpc, group_id="g", auto_offset_reset="earliest", retry_backoff_ms=1) as consumer:
        consumer.subscribe("t")
        assert [record.value for record in consumer.poll(30)] == [b"1"]
    assert fault.failed == 2


def test_a_call_of_the_admin_client_fails(server: LogServer) -> None:
    with AdminClient(server.grpc) as admin:
        server.fail("CreateTopic", "POLICY_VIOLATION")
        with pytest.raises(logserver_client.LogServerError, match=r"a test has Admin\.CreateTopic fail"):
            admin.create_topic("u")
        admin.create_topic("u")


def test_what_there_is_not_is_named(server: LogServer) -> None:
    with pytest.raises(ValueError, match="did you mean 'ProduceStream'"):
        server.fail("ProduceStrem", "NOT_LEADER_OR_FOLLOWER")
    with pytest.raises(ValueError, match="did you mean 'JoinGroup'"):
        server.fail("JoinGrup", "NOT_LEADER_OR_FOLLOWER")
    with pytest.raises(ValueError, match="did you mean 'NOT_LEADER_OR_FOLLOWER'"):
        server.fail("Fetch", "NOT_LEADER_FOR_PARTITION")


def test_a_server_that_does_not_run_has_no_calls() -> None:
    server = LogServer()
    for what in (lambda: server.fail("Fetch", "UNKNOWN_SERVER_ERROR"), server.drop_connections):
        with pytest.raises(RuntimeError, match="not running"):
            what()
