"""Worker process: confluent-kafka, the same for every server that speaks Kafka's protocol."""

import threading
import time
from collections.abc import Mapping
from itertools import cycle
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.support.usage import Meter
from benchmarks.support.values import endless, values
from benchmarks.support.worker import CannotDo, work

_WAIT_S: Final = 120
_AT_ONCE: Final = 10_000
_LONG_POLL_S: Final = 0.6
"""More than the client's fetch.wait.max.ms."""
_NEVER_FULL: Final = {"queue.buffering.max.messages": 10_000_000, "queue.buffering.max.kbytes": 2_000_000}
"""So that the loop that produces never waits, and its end is the client's own."""
_ROOM_FOR_ANY: Final = {"message.max.bytes": 8 << 20}
_READS_ON: Final = {
    # With their defaults the client stops fetching for a second whenever 100,000 records wait to be taken.
    "queued.min.messages": 1_000_000,
    "queued.max.messages.kbytes": 1_000_000,
    "fetch.queue.backoff.ms": 1,
    "fetch.message.max.bytes": 8 << 20,
}


def produce(
    address: str,
    server_pid: int,
    topic: str,
    partitions: int,
    records: int,
    value_bytes: int,
    settings: Mapping[str, Any] | None = None,
    compressible: bool = False,
) -> Any:
    """Produces records to the partitions in turn as fast as it goes; ends when all are acknowledged.

    One more record before the clock runs has the client know the topic.

    Args:
        settings: of the producer beside its defaults.
        compressible: the values have half of the entropy that their size has room for.
    """
    pool = values(value_bytes, compressible=compressible)
    producer = Producer({"bootstrap.servers": address, **_NEVER_FULL, **_ROOM_FOR_ANY, **(settings or {})})
    producer.produce(topic, b"", partition=0)
    _flush(producer)
    send = producer.produce
    with Meter(server_pid) as meter:
        if partitions == 1:
            for value in endless(pool, records):
                send(topic, value, None, 0)
        else:
            for value, partition in zip(endless(pool, records), cycle(range(partitions)), strict=False):
                send(topic, value, None, partition)
        _flush(producer)
    return meter.to_json(None)


def _flush(producer: Producer) -> None:
    left = producer.flush(_WAIT_S)
    if left:
        raise CannotDo(f"{left} records are not acknowledged after {_WAIT_S} s")


def consume(
    address: str,
    server_pid: int,
    topic: str,
    partitions: int,
    records: int,
    consumers: int = 1,
    cold: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """Reads so many records from the beginning, and looks at each value.

    Args:
        partitions: with as many records each.
        consumers: so many read all of them, each on a thread of its own.
        cold: the records are not in memory, and are to stay so until the clock runs.
    """
    places = [TopicPartition(topic, number, 0) for number in range(partitions)]
    # From the beginning, many would have been fetched by the time that it stops.
    last = max(records // partitions - 1, 0)
    firsts = [TopicPartition(topic, number, last) for number in range(partitions)] if cold else places
    made = [_consumer(address, number, settings) for number in range(consumers)]
    # What comes once in a consumer's life takes it half a second: connections, and finding out where partitions are.
    for consumer in made:
        consumer.assign(firsts)
    for consumer in made:
        _taken(consumer, 1)
        consumer.unassign()
    if cold:
        # The server still has a request for what comes next, and the client sends no other one.
        time.sleep(_LONG_POLL_S)
    seen = [0] * consumers

    def read(number: int) -> None:
        consumer, left = made[number], records
        consumer.assign(places)
        while left > 0:
            messages = _taken(consumer, min(_AT_ONCE, left))
            left -= len(messages)
            for message in messages:
                seen[number] += len(message.value() or b"")
                if message.error() is not None:
                    raise CannotDo(str(message.error()))

    with Meter(server_pid) as meter:
        if consumers == 1:
            read(0)
        else:
            threads = [threading.Thread(target=read, args=(number,)) for number in range(consumers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    for consumer in made:
        consumer.close()
    return {"bytes": sum(seen), **meter.to_json(None)}


def _taken(consumer: Consumer, count: int) -> list[Any]:
    messages: list[Any] = consumer.consume(count, _WAIT_S)
    if not messages:
        raise CannotDo(f"no record has come for {_WAIT_S} s")
    return messages


def _consumer(address: str, number: int, settings: Mapping[str, Any] | None) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": address,
            "group.id": f"benchmark-{number}",
            "enable.auto.commit": False,
            **_READS_ON,
            **(settings or {}),
        }
    )


if __name__ == "__main__":
    work({"produce": produce, "consume": consume})
