"""Hands each record to a web service (HTTP POST), trying again with growing pauses while the service is in trouble.

What to watch out for:
- Two kinds of failure. No answer, 429 and 5xx pass: try the same record again. Other answers say that the record is
  wrong and will be wrong again: it goes to `--dead-letter-topic`, and the next one has its turn.
- The pause doubles with each try, up to a longest one, and is drawn at random below that: when many workers lose the
  same service they do not come back all at once.
- Sleeping in the loop for long makes the server take this member for dead (`max_poll_interval_ms`, 5 minutes) and
  give its partitions to another, which then meets the same trouble. So the partitions are paused and `poll` goes on:
  it returns nothing, and keeps the membership.
- Paused partitions may be taken away all the same. What is waiting is then dropped here; it was not committed, so
  the next owner reads it.
- The service may see a record twice, when an answer is lost on the way. It gets the topic, partition and offset as
  an id to notice that by.

Needs: pip install "kafka-python>=3"
"""

import argparse
import random
import signal
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, RebalanceInProgressError

TIMEOUT_S = 10


class ServiceInTrouble(Exception):
    """Try again later."""


class Refused(Exception):
    """The service does not want this record, now or later."""


def post(url: str, record: Any) -> None:
    """Hands a record to the service; raises ServiceInTrouble or Refused."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    request = urllib.request.Request(
        url, record.value or b"", {"Content-Type": "application/json", "Idempotency-Key": place}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass
    except urllib.error.HTTPError as answer:
        with answer:
            if answer.code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.code == HTTPStatus.TOO_MANY_REQUESTS:
                raise ServiceInTrouble(answer) from answer
            raise Refused(answer) from answer
    except OSError as error:
        raise ServiceInTrouble(error) from error


class Waiting(ConsumerRebalanceListener):
    """The records that are still to be handed over, oldest first."""

    def __init__(self) -> None:
        self.records: deque[Any] = deque()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        pass

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.records = deque(one for one in self.records if (one.topic, one.partition) not in set(revoked))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--dead-letter-topic", default="orders.dead")
    options.add_argument("--group", default="webhooks")
    options.add_argument("--url", required=True)
    options.add_argument("--first-pause-ms", type=float, default=200)
    options.add_argument("--longest-pause-ms", type=float, default=60_000)
    options.add_argument("--max", type=int, help="end after so many records; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    waiting = Waiting()
    failures = done = 0
    next_try = 0.0
    with (
        KafkaProducer(bootstrap_servers=chosen.bootstrap_server) as producer,
        KafkaConsumer(
            bootstrap_servers=chosen.bootstrap_server,
            group_id=chosen.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=50,
        ) as consumer,
    ):
        consumer.subscribe([chosen.topic], listener=waiting)
        while not stopping and done != chosen.max:
            if waiting.records:
                consumer.pause(*consumer.assignment())
            else:
                consumer.resume(*consumer.paused())
            pause_ms = max(0.0, next_try - time.monotonic()) * 1_000 if waiting.records else 1_000
            for records in consumer.poll(timeout_ms=min(pause_ms, 1_000)).values():
                waiting.records.extend(records)
            if not waiting.records or time.monotonic() < next_try:
                continue
            record = waiting.records[0]
            try:
                post(chosen.url, record)
            except ServiceInTrouble as error:
                longest_ms = min(chosen.longest_pause_ms, chosen.first_pause_ms * 2**failures)
                failures += 1
                next_try = time.monotonic() + random.uniform(longest_ms / 2, longest_ms) / 1_000
                print(f"try {failures} of {record.topic}/{record.partition}/{record.offset}: {error}", flush=True)
                continue
            except Refused as error:
                reason = ("dead-letter-reason", str(error).encode())
                producer.send(
                    chosen.dead_letter_topic, record.value, record.key, headers=[*record.headers, reason]
                ).get()
                print(f"set aside {record.topic}/{record.partition}/{record.offset}: {error}", flush=True)
            failures = 0
            waiting.records.popleft()
            done += 1
            try:
                place = TopicPartition(record.topic, record.partition)
                consumer.commit({place: OffsetAndMetadata(record.offset + 1)})
            except (CommitFailedError, RebalanceInProgressError) as error:
                print(f"not committed, the next owner does this again: {error}", flush=True)
    print(f"handed over {done} records")


if __name__ == "__main__":
    main()
