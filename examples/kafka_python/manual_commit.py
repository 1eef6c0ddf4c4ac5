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
  here money is charged, so one a record (`--commit-every` says otherwise).

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
import sys

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition


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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--group", default="charging")
    options.add_argument("--commit-every", type=int, default=1, metavar="N", help="commit after so many orders")
    options.add_argument("--max", type=int, help="end after so many orders; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    consumer = KafkaConsumer(
        chosen.topic,
        bootstrap_servers=chosen.bootstrap_server,
        group_id=chosen.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    done: dict[TopicPartition, OffsetAndMetadata] = {}
    count = 0
    try:
        for message in consumer:
            place = TopicPartition(message.topic, message.partition)
            try:
                print(charge(message.value), flush=True)
            except ChargeError as error:
                sys.exit(f"{place.topic} {place.partition} offset {message.offset} stops the work: {error}")
            done[place] = OffsetAndMetadata(message.offset + 1)
            count += 1
            if count % chosen.commit_every == 0:
                consumer.commit(done)
                done.clear()
            if count == chosen.max:
                break
    except KeyboardInterrupt:
        print("stopped")
    finally:
        try:
            if done:
                consumer.commit(done)
        finally:
            consumer.close()


if __name__ == "__main__":
    main()
