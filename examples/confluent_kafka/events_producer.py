"""Publishes events under a key, as an idempotent producer, and waits for every one to be stored.

What to watch out for:
- `produce` only queues. The delivery callback tells what became of the record, and runs inside `poll` or `flush`
  only. A program that ends without `flush` loses what is still queued.
- The queue is bounded (`queue.buffering.max.messages`): when it is full `produce` raises BufferError. Let `poll`
  hand out some callbacks, then produce the same record again.
- `enable.idempotence` sets `acks=all`, and keeps order and stores nothing twice while the client retries. It does
  not help when your program sends the same event again after a restart: see deduplicating_consumer.
- librdkafka's default partitioner is CRC-32 of the key; Java, kafka-python and the bundled client use murmur2. When
  several of them write a topic set `partitioner` to `murmur2_random`, or a key has two partitions.
- `delivery.timeout.ms` is how long the client tries; within it a server may restart.

Needs: pip install confluent-kafka
"""

import argparse
import json
import sys
import uuid
from datetime import UTC, datetime

from confluent_kafka import KafkaError, Message, Producer


class Publisher:
    """Publishes events; knows how many were stored, and which were not."""

    def __init__(self, bootstrap_server: str) -> None:
        self.stored = 0
        self.failures: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_server,
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 5,
                "delivery.timeout.ms": 120_000,
                "partitioner": "murmur2_random",
            }
        )

    def publish(self, topic: str, key: str, event: dict[str, object]) -> None:
        """Queues an event; events with the same key are stored in the order of these calls."""
        value = json.dumps(event).encode()
        while True:
            try:
                self._producer.produce(topic, value, key.encode(), on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(1)  # full: room comes with the next deliveries
            else:
                break
        self._producer.poll(0)

    def close(self) -> None:
        """Waits until each event is stored or given up."""
        self._producer.flush()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.stored += 1
        else:
            key = message.key() or b""
            self.failures.append(f"event of {key.decode()} was not stored: {error}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="events")
    options.add_argument("--count", type=int, default=1_000)
    options.add_argument("--accounts", type=int, default=20, help="how many different keys")
    chosen = options.parse_args()

    publisher = Publisher(chosen.bootstrap_server)
    for number in range(chosen.count):
        account = f"account-{number % chosen.accounts}"
        event: dict[str, object] = {
            "event_id": str(uuid.uuid4()),
            "type": "deposited",
            "account": account,
            "number": number,
            "cents": 100 + number % 900,
            "at": datetime.now(UTC).isoformat(),
        }
        publisher.publish(chosen.topic, account, event)
    publisher.close()
    print(f"{publisher.stored} events stored in {chosen.topic}")
    if publisher.failures:
        sys.exit("\n".join(publisher.failures))


if __name__ == "__main__":
    main()
