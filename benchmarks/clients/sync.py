"""Worker process: the bundled client, synchronous."""

from contextlib import nullcontext
from itertools import islice
from typing import Any

from logserver_client import Consumer, Producer

from benchmarks.clients.traffic import watched
from benchmarks.support.usage import Meter
from benchmarks.support.values import endless, keys, values
from benchmarks.support.worker import work


def produce(
    address: str,
    server_pid: int,
    topic: str,
    records: int,
    value_bytes: int,
    keyed: bool,
    settings: dict[str, Any] | None = None,
    watch: bool = False,
    at_once: int = 1,
) -> Any:
    """Sends records as fast as `send` takes them and ends when all are acknowledged.

    One more record, before the clock runs, opens the stream and gets the producer id.

    Args:
        settings: of the producer.
        watch: tell what went over the stream, too.
        at_once: more than one record goes in a call of `send_many`.
    """
    pool, key_pool = values(value_bytes), keys()
    with watched() if watch else nullcontext() as traffic, Producer(address, **(settings or {})) as producer:
        producer.send(topic, b"", partition=0).result()
        with Meter(server_pid) as meter:
            send = producer.send
            if at_once > 1:
                of_values, of_keys = endless(pool, records), endless(key_pool, records)
                while some := list(islice(of_values, at_once)):
                    producer.send_many(topic, some, keys=list(islice(of_keys, len(some))) if keyed else None)
            elif keyed:
                for key, value in zip(endless(key_pool, records), endless(pool, records), strict=True):
                    send(topic, value, key=key)
            else:
                for value in endless(pool, records):
                    send(topic, value)
            producer.flush()
    return meter.to_json(traffic)


def consume(
    address: str, server_pid: int, topic: str, records: int, by_batch: bool = False, watch: bool = False
) -> Any:
    """Reads so many records of a topic from the beginning, and looks at each value."""
    left, seen_bytes = records, 0
    with watched() if watch else nullcontext() as traffic, Consumer(address) as consumer:
        partitions = consumer.partitions_for(topic)
        with Meter(server_pid) as meter:
            consumer.assign(partitions, at="earliest")
            if by_batch:
                for batch in consumer.batches():
                    for record in batch:
                        seen_bytes += len(record.value or b"")
                    left -= len(batch)
                    if left <= 0:
                        break
            else:
                for record in islice(consumer, records):
                    seen_bytes += len(record.value or b"")
    return meter.to_json(traffic)


if __name__ == "__main__":
    work({"produce": produce, "consume": consume})
