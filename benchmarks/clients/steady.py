"""Worker process: records at a fixed rate with confluent-kafka, and how old they are when a consumer gets them.

A record's stamp is the time at which it was due, not at which it was sent, and the schedule waits for nobody: what a
server keeps waiting shows in every record that was due meanwhile, and nothing is left out (open loop).
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.clients.stamps import age_s
from benchmarks.support.numbers import percentile
from benchmarks.support.worker import CannotDo, tell, work

_PERCENTS: Final = (50, 90, 99, 99.9, 99.99, 100)
_STAMP_BYTES: Final = 8
_SLEEP_S: Final = 0.0005
_WAIT_S: Final = 60
_HEAD_START_NS: Final = 200_000_000


def send(address: str, topic: str, rate: float, seconds: float, value_bytes: int, settings: Mapping[str, Any]) -> Any:
    """Sends records on time; returns how late the sender itself was at worst, in seconds."""
    producer = Producer({"bootstrap.servers": address, "queue.buffering.max.messages": 10_000_000, **settings})
    # Opens the connection; has no stamp.
    producer.produce(topic, b"", partition=0)
    producer.flush(_WAIT_S)
    padding = bytes(value_bytes - _STAMP_BYTES)
    count, sent, latest_ns = int(rate * seconds), 0, 0
    interval_ns = 1e9 / rate
    begin_ns = time.monotonic_ns() + _HEAD_START_NS
    while sent < count:
        now_ns = time.monotonic_ns()
        due = min(int((now_ns - begin_ns) / interval_ns) + 1, count) if now_ns >= begin_ns else 0
        if due > sent:
            latest_ns = max(latest_ns, now_ns - begin_ns - int(sent * interval_ns))
        for number in range(sent, due):
            stamp = begin_ns + int(number * interval_ns)
            producer.produce(topic, stamp.to_bytes(_STAMP_BYTES, "big") + padding, None, 0)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(_SLEEP_S)
    left = producer.flush(_WAIT_S)
    if left:
        raise CannotDo(f"{left} records are not acknowledged after {_WAIT_S} s")
    return {"late_s": latest_ns / 1e9, "records": count}


def receive(address: str, topic: str, records: int, timeout_s: float) -> Any:
    """Says when it reads, then returns percentiles of the seconds from when a record was due until it came."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "steady", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    # The record that opens nothing and has no stamp; there is one more of its kind before the first that has.
    first = consumer.poll(_WAIT_S)
    if first is None:
        raise CannotDo("no record has come")
    tell("reading")
    ages: list[float] = []
    deadline = time.monotonic() + timeout_s
    while len(ages) < records:
        message = consumer.poll(1.0)
        now_ns = time.monotonic_ns()
        if message is not None and message.error() is None:
            value = message.value()
            if value:
                ages.append(age_s(value, now_ns))
        elif time.monotonic() > deadline:
            raise CannotDo(f"{records - len(ages)} records have not come")
    consumer.close()
    ages.sort()
    return {str(percent): percentile(ages, percent) for percent in _PERCENTS}


def put(address: str, topic: str) -> None:
    """Puts an empty record there."""
    producer = Producer({"bootstrap.servers": address})
    producer.produce(topic, b"", partition=0)
    producer.flush(_WAIT_S)


if __name__ == "__main__":
    work({"send": send, "receive": receive, "put": put})
