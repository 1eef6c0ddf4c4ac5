"""Publishes what a database has committed: all of it, and nothing else (the outbox pattern).

A program that writes an order to its database and then sends an event has a gap in between: it may die there, and
the event is never sent. So the event is written to the same database, in the same transaction, into a table
`outbox`; a relay sends what is there and marks it as sent.

    python -m examples.confluent_kafka.outbox order --count 3     # writes orders and their events
    python -m examples.confluent_kafka.outbox relay               # sends the events

What to watch out for:
- The relay sends in the order of the table, waits until all of a batch is stored, then marks it. When it dies in
  between it sends the batch again: at least once. The event id goes along in a header, for consumers to notice (see
  deduplicating_consumer).
- One relay at a time, or order is lost: run it as one service.
- Waiting after each event would take a round trip each; `flush` once a batch.

Needs: pip install confluent-kafka
"""

import argparse
import json
import signal
import sqlite3
import threading
import uuid

from confluent_kafka import KafkaError, KafkaException, Message, Producer

TABLES = """
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS unsent ON outbox (position) WHERE NOT sent;
"""


def place_order(database: sqlite3.Connection, customer: str, cents: int) -> int:
    """Writes an order and its event, both or none; returns the order's number."""
    with database:
        number = database.execute("INSERT INTO orders (customer, cents) VALUES (?, ?)", [customer, cents]).lastrowid
        assert number is not None
        event = {"type": "order_placed", "order": number, "customer": customer, "cents": cents}
        database.execute(
            "INSERT INTO outbox (event_id, key, value) VALUES (?, ?, ?)",
            [str(uuid.uuid4()), customer, json.dumps(event)],
        )
    return number


def relay_batch(database: sqlite3.Connection, producer: Producer, topic: str, most: int) -> int:
    """Sends the oldest events that are not sent yet and marks them; returns how many. Raises KafkaException."""
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    batch = database.execute(
        "SELECT position, event_id, key, value FROM outbox WHERE NOT sent ORDER BY position LIMIT ?", [most]
    ).fetchall()
    for _, event_id, key, value in batch:
        producer.produce(topic, value, key, headers=[("event-id", event_id)], on_delivery=delivered)
    producer.flush()
    if failures:
        raise KafkaException(failures[0])
    with database:
        database.executemany("UPDATE outbox SET sent = 1 WHERE position = ?", [row[:1] for row in batch])
    return len(batch)


def relay(chosen: argparse.Namespace, database: sqlite3.Connection) -> None:
    """Sends until nothing is left, or with `--follow` until it is stopped."""
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    producer = Producer(
        {"bootstrap.servers": chosen.bootstrap_server, "enable.idempotence": True, "partitioner": "murmur2_random"}
    )
    sent = 0
    while not stopping.is_set():
        count = relay_batch(database, producer, chosen.topic, chosen.batch)
        sent += count
        if not count:
            if not chosen.follow:
                break
            stopping.wait(0.2)
    print(f"sent {sent} events")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["order", "relay"])
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="order-events")
    options.add_argument("--database", default="shop.db", metavar="FILE")
    options.add_argument("--count", type=int, default=1, help="how many orders to write")
    options.add_argument("--batch", type=int, default=500, metavar="N", help="relay: most events between two marks")
    options.add_argument("--follow", action="store_true", help="relay: go on until Ctrl-C")
    chosen = options.parse_args()

    database = sqlite3.connect(chosen.database)
    database.executescript(TABLES)
    if chosen.what == "relay":
        relay(chosen, database)
    else:
        for index in range(chosen.count):
            number = place_order(database, f"customer-{index % 5}", 1_000 + index)
            print(f"order {number} written")
    database.close()


if __name__ == "__main__":
    main()
