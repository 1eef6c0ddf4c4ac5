"""Books each deposit once, although it may arrive twice.

Every event has an id that its producer chose. The ids of booked events are kept in the same database as the balances
and written in the same transaction: either both are there or neither. What to watch out for:
- "Look up the id, do the work, note the id" as three steps books twice when the program dies between the second and
  the third, or loses the event when the note comes first. It has to be one transaction, in one database.
- The same event arrives again because a consumer died before its commit, or because a producer was not sure and sent
  it once more. An idempotent producer only helps against its own retries.
- The id belongs to what happened ("order 17 was paid"), not to the attempt to send it. A hash of the content is no
  id: two deposits of the same amount are two deposits.
- A transaction for each event costs a flush of the database each; one for a batch costs one, and is as safe.
- Ids can be forgotten after the longest time that a duplicate may take, such as the topic's retention.

Needs: pip install confluent-kafka
"""

import argparse
import json
import signal
import sqlite3

from confluent_kafka import Consumer, KafkaException

TABLES = """
CREATE TABLE IF NOT EXISTS booked (event_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL);
"""


def book(database: sqlite3.Connection, events: list[dict[str, object]]) -> list[bool]:
    """Books deposits, all or none; says for each whether it was new."""
    new = []
    with database:
        for event in events:
            inserted = database.execute("INSERT INTO booked VALUES (?) ON CONFLICT DO NOTHING", [event["event_id"]])
            new.append(inserted.rowcount == 1)
            if new[-1]:
                database.execute(
                    "INSERT INTO balances VALUES (?, ?) ON CONFLICT DO UPDATE SET cents = cents + excluded.cents",
                    [event["account"], event["cents"]],
                )
    return new


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="events")
    options.add_argument("--group", default="bookkeeping")
    options.add_argument("--database", default="balances.db", metavar="FILE")
    options.add_argument("--batch", type=int, default=100, metavar="N", help="most events a transaction")
    options.add_argument("--max", type=int, help="end after so many events; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    database = sqlite3.connect(chosen.database)
    database.executescript(TABLES)
    consumer = Consumer(
        {
            "bootstrap.servers": chosen.bootstrap_server,
            "group.id": chosen.group,
            "auto.offset.reset": "earliest",
            # Commits in the background what was marked as done, and on closing.
            "enable.auto.commit": True,
            "enable.auto.offset.store": False,
        }
    )
    consumer.subscribe([chosen.topic])
    count = duplicates = 0
    try:
        while not stopping and count != chosen.max:
            most = chosen.batch if chosen.max is None else min(chosen.batch, chosen.max - count)
            messages = []
            for message in consumer.consume(most, timeout=0.5):
                error = message.error()
                if error is None:
                    messages.append(message)
                elif error.fatal():
                    raise KafkaException(error)
                else:
                    print(f"trouble, going on: {error}", flush=True)
            events = [json.loads(message.value() or b"") for message in messages]
            for message, event, new in zip(messages, events, book(database, events), strict=True):
                print(f"{'booked' if new else 'booked before:'} {event['account']} {event['cents']}", flush=True)
                consumer.store_offsets(message)
                duplicates += not new
            count += len(messages)
    finally:
        consumer.close()
        database.close()
    print(f"{count} events, {duplicates} of them booked before")


if __name__ == "__main__":
    main()
