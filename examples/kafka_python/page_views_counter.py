"""Counts page views in a SQLite database, a batch at a time: each view counts once, whatever is killed when.

The counts and the offsets up to which they are counted are written in one transaction of the database. After a crash
the database says where to go on, so a batch is either counted and passed, or neither. What to watch out for:
- The database is the truth, so the place is read from there when partitions are assigned, not from the group. The
  group still deals out the partitions, and its committed offsets show the lag to others.
- One transaction a batch instead of one a record is what makes this quick; `max_poll_records` is the batch.
- Seek in `on_partitions_assigned`: there the partitions are known. After the constructor, or after one `poll(0)`,
  they usually are not, and seeking raises ("No partitions are currently assigned").

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
import signal
import sqlite3
from collections import Counter
from collections.abc import Collection
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError, RebalanceInProgressError

TABLES = """
CREATE TABLE IF NOT EXISTS views (page TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS places (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
);
"""


class SeekToPlaces(ConsumerRebalanceListener):
    """Starts each partition at the place that the database has for it."""

    def __init__(self, consumer: KafkaConsumer, database: sqlite3.Connection) -> None:
        self._consumer = consumer
        self._database = database

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        for place in assigned:
            found = self._database.execute("SELECT next FROM places WHERE (topic, partition) = (?, ?)", place)
            for (offset,) in found:
                self._consumer.seek(place, offset)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        pass  # what was polled before is in the database


def count_batch(database: sqlite3.Connection, batch: dict[TopicPartition, list[Any]]) -> int:
    """Counts a batch and moves the places behind it, both or none; returns the number of views that were new."""
    pages: Counter[str] = Counter()
    with database:
        database.execute("BEGIN IMMEDIATE")
        for place, records in batch.items():
            found = database.execute("SELECT next FROM places WHERE (topic, partition) = (?, ?)", place).fetchone()
            # Another worker may own this partition by now, and have counted some of these already.
            pages.update(json.loads(one.value)["page"] for one in records if found is None or one.offset >= found[0])
            database.execute(
                "INSERT INTO places VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
                (*place, records[-1].offset + 1),
            )
        database.executemany(
            "INSERT INTO views VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count", pages.items()
        )
    return pages.total()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="page-views")
    options.add_argument("--group", default="analytics")
    options.add_argument("--database", default="page-views.db", metavar="FILE")
    options.add_argument("--batch", type=int, default=500, metavar="N", help="most views a transaction")
    options.add_argument("--max", type=int, help="end after at least so many views; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    # kafka-python calls the listener on a thread of its own while `poll` waits for it.
    database = sqlite3.connect(chosen.database, check_same_thread=False)
    database.executescript(TABLES)
    counted = 0
    with KafkaConsumer(
        bootstrap_servers=chosen.bootstrap_server,
        group_id=chosen.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=chosen.batch,
    ) as consumer:
        consumer.subscribe([chosen.topic], listener=SeekToPlaces(consumer, database))
        while not stopping and (chosen.max is None or counted < chosen.max):
            batch = consumer.poll(timeout_ms=1_000)
            if batch:
                new = count_batch(database, batch)
                consumer.commit_async()
                counted += new
                before = sum(map(len, batch.values())) - new
                print(
                    f"counted {counted}" + (f", {before} of the batch were counted before" if before else ""),
                    flush=True,
                )
        try:
            consumer.commit()
        except (CommitFailedError, RebalanceInProgressError) as error:
            print(f"others see an old place of the group: {error}")
    database.close()


if __name__ == "__main__":
    main()
