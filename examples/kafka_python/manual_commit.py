"""Charges orders one by one and commits exactly what was charged, never the one that failed.

At least once, and nothing skipped: the committed offset moves past a record when that record is done. What to watch
out for:
- `commit()` without offsets commits all that the program has been given, done or not: the record at hand, and after
  `poll` the whole batch. Here the offsets are named. A committed offset is the next one to read: the last done plus
  one.
- Going on after a failure and committing a later record commits the failed one as well: an offset stands for all
  before it. So a failure ends this program with the failed record uncommitted; its next start begins with it. Other
  ways out: try again (see webhooks), or set the record aside (see dead_letters).
- A commit costs a round trip and a flush on the server. One a batch is enough, unless doing a record again is dear;
  here money is charged, so one a record (`--batch` says otherwise).
- Commit before the next `poll`: inside `poll` partitions may go to another member, and a commit after that is
  refused, or takes back what the next owner has committed.

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
import signal
import sys

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, RebalanceInProgressError


class ChargeError(Exception):
    """This order can't be charged."""


def charge(value: bytes) -> str:
    """Charges an order; returns the receipt."""
    try:
        order = json.loads(value)
        cents = order["amount_cents"]
        if not isinstance(cents, int) or cents <= 0:
            raise ChargeError(f"amount {cents!r}")
        return f"charged {cents} for order {order['order']}"
    except (ValueError, TypeError, KeyError) as error:
        raise ChargeError(f"not an order: {value!r}") from error


def commit(consumer: KafkaConsumer, done: dict[TopicPartition, OffsetAndMetadata]) -> None:
    """Commits what is done; says so when this member has lost its partitions meanwhile."""
    try:
        consumer.commit(done)
    except (CommitFailedError, RebalanceInProgressError) as error:
        print(f"not committed, the next owner charges these again: {error}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--group", default="charging")
    options.add_argument("--batch", type=int, default=1, metavar="N", help="most orders between two commits")
    options.add_argument("--max", type=int, help="end after so many orders; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    count = 0
    with KafkaConsumer(
        chosen.topic,
        bootstrap_servers=chosen.bootstrap_server,
        group_id=chosen.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    ) as consumer:
        while not stopping and (chosen.max is None or count < chosen.max):
            done: dict[TopicPartition, OffsetAndMetadata] = {}
            try:
                for place, records in consumer.poll(timeout_ms=1_000, max_records=chosen.batch).items():
                    for record in records:
                        try:
                            print(charge(record.value), flush=True)
                        except ChargeError as error:
                            sys.exit(f"{place.topic} {place.partition} offset {record.offset} stops the work: {error}")
                        done[place] = OffsetAndMetadata(record.offset + 1)
                        count += 1
            finally:
                commit(consumer, done)
    print(f"charged {count} orders")


if __name__ == "__main__":
    main()
