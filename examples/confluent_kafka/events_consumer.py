"""Handles events as a member of a group: first the work, then the commit.

What to watch out for:
- librdkafka marks a record as done when `poll` returns it. With `enable.auto.offset.store` off this program marks
  it, with `store_offsets`, once the work is done; what is committed is never more than that.
- One commit a record makes each record cost a round trip and a flush. Here it is one every `--commit-every` records,
  when nothing comes, and before partitions are given up.
- `on_revoke` runs inside `poll` and `close`, while the partitions still belong to this member: the last moment to
  commit. In `on_lost` it is too late, somebody else has them.
- `poll` returns None when nothing came, and messages that are errors. Those about a connection come and go, the
  client goes on by itself; only a fatal one ends the program. The end of a partition is one of these messages, if
  you ask for it.
- `group.protocol=consumer` is Kafka's newer protocol: the server deals out the partitions, and members that keep
  theirs go on meanwhile. Timeouts are then the server's; `session.timeout.ms` here would be refused.
- An event that can't be handled ends this program, and stays next in line. See dead_letters for going on.

Needs: pip install confluent-kafka
"""

import argparse
import json
import signal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition


def handle(message: Message) -> None:
    event = json.loads(message.value() or b"")
    print(f"partition {message.partition()} offset {message.offset()} {event['account']} {event['number']}", flush=True)


def commit(consumer: Consumer) -> None:
    """Commits what was stored as done; that may be nothing, and may come too late."""
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as failure:
        error = failure.args[0]
        if error.code() == KafkaError._NO_OFFSET:
            return
        if error.fatal():
            raise
        print(f"not committed, these events will come again: {error}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", action="append", help="default events; may be given more than once")
    options.add_argument("--group", default="event-handlers")
    options.add_argument("--protocol", choices=["classic", "consumer"], default="classic")
    options.add_argument("--commit-every", type=int, default=100, metavar="N")
    options.add_argument("--max", type=int, help="end after so many events; otherwise go on until Ctrl-C")
    options.add_argument(
        "--exit-at-end", action="store_true", help="end when all partitions have been read to their ends"
    )
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    at_end: set[tuple[str | None, int | None]] = set()

    def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        print("owns", *sorted(place.partition for place in partitions), flush=True)

    def revoked(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        commit(consumer)
        at_end.difference_update((place.topic, place.partition) for place in partitions)

    consumer = Consumer(
        {
            "bootstrap.servers": chosen.bootstrap_server,
            "group.id": chosen.group,
            "group.protocol": chosen.protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": chosen.exit_at_end,
        }
    )
    consumer.subscribe(chosen.topic or ["events"], on_assign=assigned, on_revoke=revoked)
    handled = uncommitted = 0
    try:
        while not stopping and handled != chosen.max:
            message = consumer.poll(1)
            if message is None:
                if uncommitted:
                    commit(consumer)
                    uncommitted = 0
                continue
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    at_end.add((message.topic(), message.partition()))
                    if at_end == {(place.topic, place.partition) for place in consumer.assignment()}:
                        break
                elif error.fatal():
                    raise KafkaException(error)
                else:
                    print(f"trouble, going on: {error}", flush=True)
                continue
            at_end.discard((message.topic(), message.partition()))
            handle(message)
            consumer.store_offsets(message)
            handled += 1
            uncommitted += 1
            if uncommitted == chosen.commit_every:
                commit(consumer)
                uncommitted = 0
    finally:
        consumer.close()
    print(f"left the group after {handled} events")


if __name__ == "__main__":
    main()
