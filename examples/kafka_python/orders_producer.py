"""Sends orders as JSON, each under its customer as the key, and says which of them were not stored.

What to watch out for:
- `send` only puts the record into the producer's memory. Whether it was stored is told by its future; a program that
  never looks at the futures never hears of a record that was refused.
- Waiting for each record before the next is sent (`flush()` or `future.get()` in the loop) makes each one a request
  of its own. Send first, then wait. A producer that never ends looks at futures as it goes, or gives them an
  errback.
- The key decides the partition, and order is kept within a partition. So the key is what has to stay in order, here
  the customer; with the order's own number as the key, two orders of one customer may overtake each other.
- Kafka stores bytes; what is in them is between writer and reader. JSON is made right where it is sent: version 3 of
  kafka-python wants serializers to be subclasses of its `Serializer`, and warns of functions.

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError


def orders(count: int) -> Iterator[dict[str, Any]]:
    for number in range(1, count + 1):
        yield {"order": number, "customer": f"customer-{number % 7}", "amount_cents": 500 + number * 37 % 9_000}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--count", type=int, default=10, help="how many orders")
    chosen = options.parse_args()
    lost: list[str] = []

    with KafkaProducer(bootstrap_servers=chosen.bootstrap_server) as producer:
        sent = []
        for order in orders(chosen.count):
            key, value = order["customer"].encode(), json.dumps(order).encode()
            sent.append((order, producer.send(chosen.topic, key=key, value=value)))
        for order, future in sent:
            try:
                future.get()
            except KafkaError as error:
                lost.append(f"order {order['order']} was not stored: {error}")

    print(f"{len(sent) - len(lost)} orders stored in {chosen.topic}")
    if lost:
        sys.exit("\n".join(lost))


if __name__ == "__main__":
    main()
