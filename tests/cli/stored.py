"""Data directories that a real server has left, for commands that read them while it is stopped."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Final

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from ..daemon.processes import ServerProcess

TOPICS: Final = {
    "plain": (2, {"segment.bytes": "40000"}),
    "compacted": (
        1,
        {"cleanup.policy": "compact", "segment.bytes": "20000", "min.cleanable.dirty.ratio": "0.01"},
    ),
    "transactional": (1, {}),
}
SETTINGS: Final = {
    "log.cleaner.backoff.ms": "100",
    "log.flush.offset.checkpoint.interval.ms": "300",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
}
RECORDS: Final = 4_000
GROUP: Final = "readers"


def create(server: ServerProcess, name: str, partitions: int) -> None:
    """Makes a topic."""
    admin = AdminClient({"bootstrap.servers": server.kafka, "log_level": 0})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)


def send(server: ServerProcess, topic: str, values: Iterable[str]) -> None:
    """Stores records, in batches of a few hundred bytes."""
    producer = Producer({"bootstrap.servers": server.kafka, "linger.ms": 1, "batch.size": 500, "log_level": 0})
    for value in values:
        producer.produce(topic, value)
        producer.poll(0)
    assert producer.flush(60) == 0


def fill(server: ServerProcess) -> None:
    """Makes topics of every kind, with several segments, a group, committed, aborted and open transactions."""
    settings = {"bootstrap.servers": server.kafka, "log_level": 0}
    topics = [NewTopic(name, count, 1, config=config) for name, (count, config) in TOPICS.items()]
    admin = AdminClient(settings)
    for done in admin.create_topics(topics).values():
        done.result(30)
    producer = Producer({**settings, "enable.idempotence": True, "linger.ms": 2, "batch.size": 6_000})
    for number in range(RECORDS):
        producer.produce("plain", f"{number:08}" * 5, key=f"k{number}")
        producer.produce("compacted", f"{number:08}", key=f"k{number % 40}")
        producer.poll(0)
    assert producer.flush(60) == 0
    transactional = Producer({**settings, "transactional.id": "copier", "linger.ms": 1})
    transactional.init_transactions(30)
    for number in range(9):
        transactional.begin_transaction()
        for _ in range(20):
            transactional.produce("transactional", f"{number:08}" * 10)
        transactional.flush(30)
        if number % 3:
            transactional.commit_transaction(30)
        else:
            transactional.abort_transaction(30)
    consumer = Consumer({**settings, "group.id": GROUP, "auto.offset.reset": "earliest"})
    consumer.subscribe(["plain"])
    while not consumer.consume(100, 1.0):
        pass
    consumer.commit(asynchronous=False)
    consumer.close()
    transactional.begin_transaction()
    transactional.produce("transactional", "open")
    assert transactional.flush(30) == 0


def wait_for_compaction(path: Path) -> None:
    """Waits until a compaction has taken most of the records of the compacted topic."""
    end_s = time.monotonic() + 60
    while sum(log.stat().st_size for log in (path / "compacted-0").glob("*.log")) > 60_000:
        assert time.monotonic() < end_s, "nothing is compacted"
        Event().wait(0.02)


def make(path: Path, *, is_killed: bool) -> Path:
    """Returns a directory that a server has left, stopped or killed."""
    with ServerProcess(path, settings=SETTINGS) as server:
        fill(server)
        wait_for_compaction(path)
        if is_killed:
            server.kill()
        else:
            assert server.stop() == 0
    return path


def copy(source: Path, target: Path) -> Path:
    """Returns a copy of a directory."""
    shutil.copytree(source, target)
    return target


def values(
    server: ServerProcess, topic: str, isolation_level: str = "read_uncommitted"
) -> dict[tuple[int, int], bytes]:
    """Returns what a topic holds: values by partition and offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": server.kafka,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation_level,
            "log_level": 0,
        }
    )
    count = TOPICS[topic][0]
    consumer.assign([TopicPartition(topic, number, 0) for number in range(count)])
    found: dict[tuple[int, int], bytes] = {}
    ends = 0
    while ends < count:
        for message in consumer.consume(1000, 1.0):
            if message.error() is not None:
                ends += 1
                continue
            partition, offset, value = message.partition(), message.offset(), message.value()
            assert partition is not None and offset is not None and isinstance(value, bytes)
            found[partition, offset] = value
    consumer.close()
    return found
