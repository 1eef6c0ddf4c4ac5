"""What a real Apache Kafka holds, and the same asked of whoever has it then: to be compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

TOPICS: Final[dict[str, tuple[int, dict[str, str]]]] = {
    "plain": (3, {"segment.bytes": "1048576", "retention.ms": "-1", "max.message.bytes": "2000000"}),
    "compacted": (
        2,
        {
            "cleanup.policy": "compact",
            "segment.bytes": "1048576",
            "segment.ms": "500",
            "min.cleanable.dirty.ratio": "0.01",
        },
    ),
    "transactional": (2, {"message.timestamp.type": "CreateTime"}),
    "append-time": (1, {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}),
    "empty": (4, {"cleanup.policy": "compact,delete"}),
}
FIRST_KEPT: Final = 77
"""The records of one topic before this offset are deleted."""
GROUPS: Final = {"classic-group": "classic", "consumer-group": "consumer"}
_CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass
class Held:
    """What a server holds."""

    records: dict[tuple[str, int, int], tuple[Any, ...]]
    """By topic, partition and offset: timestamp, key, value, headers."""
    committed: dict[tuple[str, int, int], tuple[Any, ...]]
    """The same for readers of committed records."""
    ends: dict[tuple[str, int], tuple[int, int]]
    """First and last offset of each partition."""
    positions: dict[tuple[str, str, int], tuple[int, str | None]]
    """By group, topic and partition: offset and metadata."""
    topic_ids: dict[str, str]
    settings: dict[str, dict[str, str]]


def fill(address: str, records: int) -> None:
    """Makes topics of every kind, groups of both protocols, transactions that end and one that does not."""
    settings = {"bootstrap.servers": address, "log_level": 0}
    admin = AdminClient(settings)
    topics = [NewTopic(name, count, 1, config=config) for name, (count, config) in TOPICS.items()]
    for done in admin.create_topics([*topics, NewTopic("deleted", 2, 1)]).values():
        done.result(60)
    for codec in _CODECS:
        producer = Producer({**settings, "enable.idempotence": True, "compression.type": codec, "batch.size": 20_000})
        for number in range(records // len(_CODECS)):
            headers = [("codec", codec.encode()), ("null", None)] if number % 7 == 0 else None
            producer.produce("plain", f"{codec} {number:06}" * 6, key=f"k{number % 100}", headers=headers)
            producer.produce("compacted", f"{codec} {number}" if number % 9 else None, key=f"k{number % 50}")
            producer.produce("append-time", str(number))
            producer.poll(0)
        producer.produce("deleted", "gone")
        assert producer.flush(60) == 0
    _transactions(settings)
    for group, protocol in GROUPS.items():
        _read(settings, group, protocol)
    for cut in admin.delete_records([TopicPartition("append-time", 0, FIRST_KEPT)]).values():
        cut.result(60)
    for done in admin.delete_topics(["deleted"]).values():
        done.result(60)
    _set(admin, ResourceType.TOPIC, "empty", "segment.ms", "7654321")
    _set(admin, ResourceType.BROKER, "1", "log.cleaner.threads", "2")
    _set(admin, ResourceType.BROKER, "1", "message.max.bytes", "3000000")


def _set(admin: AdminClient, kind: ResourceType, name: str, setting: str, value: str) -> None:
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(kind, name, incremental_configs=[entry])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(60)


def _transactions(settings: dict[str, Any]) -> None:
    producer = Producer({**settings, "transactional.id": "mover", "linger.ms": 1})
    consumer = Consumer({**settings, "group.id": "moved", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe(["plain"])
    producer.init_transactions(60)
    for number in range(12):
        producer.begin_transaction()
        for message in _polled(consumer, 50):
            producer.produce("transactional", message.value(), key=message.key(), partition=number % 2)
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 60
        )
        if number % 4 == 3:
            producer.abort_transaction(60)
        else:
            producer.commit_transaction(60)
    consumer.close()
    producer.begin_transaction()
    producer.produce("transactional", "left open", partition=0)
    assert producer.flush(60) == 0


def _polled(consumer: Consumer, count: int) -> list[Any]:
    while True:
        found = [message for message in consumer.consume(count, 1.0) if message.error() is None]
        if found:
            return found


def _read(settings: dict[str, Any], group: str, protocol: str) -> None:
    consumer = Consumer(
        {
            **settings,
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["plain", "append-time"])
    for _ in range(5):
        last = _polled(consumer, 200)[-1]
        consumer.commit(asynchronous=False)
    consumer.commit(
        offsets=[TopicPartition(last.topic(), last.partition(), last.offset() + 1, metadata=f"note of {group}")],
        asynchronous=False,
    )
    consumer.close()


def held(address: str) -> Held:
    """Asks a server for everything."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    ids = {
        # librdkafka prints them in the other alphabet.
        name: str(done.result(60).topic_id).replace("+", "-").replace("/", "_")
        for name, done in admin.describe_topics(_names(sorted(TOPICS)), request_timeout=60).items()
    }
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in TOPICS]
    settings = {
        resource.name: {
            name: entry.value
            for name, entry in done.result(60).items()
            if entry.source == 1  # of the topic itself
        }
        for resource, done in admin.describe_configs(resources).items()
    }
    positions: dict[tuple[str, str, int], tuple[int, str | None]] = {}
    for group in (*GROUPS, "moved"):
        found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(60)
        for place in found.topic_partitions or ():
            positions[group, place.topic, place.partition] = (place.offset, place.metadata)
    return Held(
        dict(_records(address, "read_uncommitted")),
        dict(_records(address, "read_committed")),
        _ends(address),
        positions,
        ids,
        settings,
    )


def _names(names: list[str]) -> Any:
    from confluent_kafka import TopicCollection

    return TopicCollection(names)


def _places() -> list[TopicPartition]:
    return [TopicPartition(name, number, 0) for name, (count, _) in TOPICS.items() for number in range(count)]


def _ends(address: str) -> dict[tuple[str, int], tuple[int, int]]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "watcher", "log_level": 0})
    found = {}
    for place in _places():
        found[place.topic, place.partition] = consumer.get_watermark_offsets(place, timeout=60)
    consumer.close()
    return found


def _records(address: str, isolation_level: str) -> Iterator[tuple[tuple[str, int, int], tuple[Any, ...]]]:
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation_level,
            "log_level": 0,
        }
    )
    places = _places()
    consumer.assign(places)
    ends = 0
    while ends < len(places):
        for message in consumer.consume(1000, 1.0):
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ends += 1
                continue
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            assert topic is not None and partition is not None and offset is not None
            yield (topic, partition, offset), (message.timestamp(), message.key(), message.value(), message.headers())
    consumer.close()


def go_on(address: str) -> None:
    """Writes, reads on as a group, and runs a transaction on what is there, as programs that have moved do."""
    settings = {"bootstrap.servers": address, "log_level": 0}
    producer = Producer({**settings, "transactional.id": "mover"})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce("transactional", "goes on", partition=0)
    producer.commit_transaction(60)
    assert [value for (_, _, _), (_, _, value, _) in _records(address, "read_committed") if value == b"goes on"]
    for group, protocol in GROUPS.items():
        _read(settings, group, protocol)
