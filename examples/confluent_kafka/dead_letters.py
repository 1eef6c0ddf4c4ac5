"""Sets orders aside that can't be worked on, into a topic of their own, so that they do not stop the others.

Each dead letter has the record's own key, value and headers, and headers that say where it came from and what was
wrong with it. What to watch out for:
- The order of things: store the dead letter, wait until that is certain, then commit. The other way round a crash in
  between loses the record; this way it may be set aside twice.
- Only what is wrong with the record belongs here. When a database or another service is down, every record fails:
  wait and try again (see webhooks), or the whole topic ends up aside.
- Somebody has to look: dead letters are a topic like any other, so watch its end offsets, give it a long
  `retention.ms`, and see dead_letters_replay for bringing them back.
- Once set aside, a key's later records overtake this one. Where that must not be, stop instead (see manual_commit).

Needs: pip install confluent-kafka
"""

import argparse
import json
import signal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer


class BadOrder(Exception):
    """This record will never be an order, however often it is tried."""


def ship(value: bytes | None) -> str:
    """Ships an order; returns its number."""
    try:
        order = json.loads(value or b"")
        if order["amount_cents"] <= 0:
            raise BadOrder(f"amount {order['amount_cents']}")
        return str(order["order"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadOrder(f"{type(error).__name__}: {error}") from error


def set_aside(producer: Producer, topic: str, message: Message, reason: Exception) -> None:
    """Stores a dead letter and returns when that is certain; raises KafkaException if it can't be."""
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    headers = [
        *(message.headers() or []),
        ("dead-letter-topic", (message.topic() or "").encode()),
        ("dead-letter-partition", b"%d" % (message.partition() or 0)),
        ("dead-letter-offset", b"%d" % (message.offset() or 0)),
        ("dead-letter-reason", str(reason).encode()),
    ]
    producer.produce(topic, message.value(), message.key(), headers=headers, on_delivery=delivered)
    producer.flush()
    if failures:
        raise KafkaException(failures[0])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="orders")
    options.add_argument("--dead-letter-topic", default="orders.dead")
    options.add_argument("--group", default="shipping")
    options.add_argument("--max", type=int, help="end after so many records; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    producer = Producer({"bootstrap.servers": chosen.bootstrap_server, "enable.idempotence": True})
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
    count = 0
    try:
        while not stopping and count != chosen.max:
            message = consumer.poll(1)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise KafkaException(error)
                print(f"trouble, going on: {error}", flush=True)
                continue
            try:
                print(f"shipped order {ship(message.value())}", flush=True)
            except BadOrder as reason:
                set_aside(producer, chosen.dead_letter_topic, message, reason)
                print(f"set aside partition {message.partition()} offset {message.offset()}: {reason}", flush=True)
            consumer.store_offsets(message)
            count += 1
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
