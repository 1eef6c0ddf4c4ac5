"""Decides by itself which partition a record goes to: all events of an order to the same one.

The keys are `order-123/paid`, `order-123/shipped` and so on; what has to stay together and in order is `order-123`.
What to watch out for:
- Keys are bytes when a partitioner decides by them (`serialized_key`), not text: `key.split("-")` raises.
- Not `hash()`: Python salts it, so that each process would choose other partitions. CRC-32 is the same everywhere.
- Of all partitions, not only of those available at the moment: the place of a key must not depend on the state of
  the cluster.
- Adding partitions moves keys. So does a client with another partitioner: all that write a topic must agree. The
  simpler way, if you can choose the key: `order-123` as the key, the event in the value, and the default
  partitioner, which other clients share.

Needs: pip install "kafka-python>=3"
"""

import argparse
import sys
import zlib

from kafka import KafkaProducer
from kafka.cluster import ClusterMetadata
from kafka.partitioner import Partitioner

EVENTS = ("created", "paid", "packed", "shipped")


class OrderPartitioner(Partitioner):
    """Partitions by what stands before the first `/` of the key."""

    def partition(
        self,
        topic: str,
        key: object,
        serialized_key: bytes | None,
        value: object,
        serialized_value: bytes | None,
        cluster: ClusterMetadata,
    ) -> int:
        if serialized_key is None:
            raise ValueError("an order's event needs a key: without one its order could not be kept")
        partitions: list[int] = sorted(cluster.partitions_for_topic(topic))
        order, _, _ = serialized_key.partition(b"/")
        return partitions[zlib.crc32(order) % len(partitions)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="order-events")
    options.add_argument("--orders", type=int, default=5)
    chosen = options.parse_args()

    with KafkaProducer(bootstrap_servers=chosen.bootstrap_server, partitioner=OrderPartitioner()) as producer:
        sent = [
            (key, producer.send(chosen.topic, key=key.encode(), value=event.encode()))
            for event in EVENTS
            for order in range(1, chosen.orders + 1)
            for key in [f"order-{order}/{event}"]
        ]
        producer.flush()
    for key, future in sent:
        if not future.succeeded():
            sys.exit(f"{key} was not stored: {future.exception}")
        print(f"{key} in partition {future.get().partition}")


if __name__ == "__main__":
    main()
