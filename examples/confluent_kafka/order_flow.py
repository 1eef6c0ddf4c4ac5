"""Services that react to each other's events, with no one in the middle: orders, payment, stock, notification.

An order is placed; payment takes the money; stock reserves the goods, or says that there are none, and then payment
gives the money back; notification tells the customer. Run each service in a terminal of its own, in as many
processes as you like:

    python -m examples.confluent_kafka.order_flow payment
    python -m examples.confluent_kafka.order_flow stock
    python -m examples.confluent_kafka.order_flow notification
    python -m examples.confluent_kafka.order_flow place --count 10

What to watch out for:
- Each service is a group of its own, so each sees every event, and goes on where it was after it was away.
- All events of an order have its number as the key: one partition, one order, one process of each service at a time.
- What follows is stored before the event that caused it is committed. A service that dies in between does its work
  again, so an event's id is made from its cause's: the same event comes twice, not two events. Who acts on events
  remembers ids (see deduplicating_consumer).
- Undoing is an event like any other: nobody can take back what others have seen.
- Nobody knows how an order stands without reading all of its events. `correlation_id` finds them.

Needs: pip install confluent-kafka
"""

import argparse
import json
import signal
import uuid
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

Event = dict[str, Any]
Rule = Callable[[Event], str | None]
"""What follows from an event: the type of the next, or None."""

IN_STOCK = 5
"""Orders for more pieces can't be delivered."""

SERVICES: dict[str, dict[str, Rule]] = {
    "payment": {
        "order_placed": lambda event: "payment_taken",
        "stock_missing": lambda event: "payment_returned",
    },
    "stock": {
        "payment_taken": lambda event: "stock_reserved" if event["pieces"] <= IN_STOCK else "stock_missing",
    },
    "notification": {
        "stock_reserved": lambda event: "customer_told_of_delivery",
        "payment_returned": lambda event: "customer_told_of_failure",
    },
}


class Events:
    """Where events are sent."""

    def __init__(self, bootstrap_server: str, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap_server, "enable.idempotence": True, "linger.ms": 5})
        self._topic = topic
        self._failures: list[KafkaError] = []

    def send(self, event: Event) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic, json.dumps(event).encode(), str(event["order"]).encode(), on_delivery=self._delivered
                )
                return
            except BufferError:
                self._producer.poll(1)

    def wait(self) -> None:
        """Returns when all that was sent is stored; raises KafkaException if some was not."""
        self._producer.flush()
        if self._failures:
            raise KafkaException(self._failures[0])

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failures.append(error)


def following(cause: Event, rules: dict[str, Rule]) -> Event | None:
    """The event that a service answers another with, or None."""
    rule = rules.get(cause["type"])
    kind = None if rule is None else rule(cause)
    if kind is None:
        return None
    return {**cause, "type": kind, "event_id": str(uuid.uuid5(uuid.UUID(cause["event_id"]), kind))}


def serve(chosen: argparse.Namespace, events: Events) -> None:
    """Is one of the services until it is stopped."""
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    consumer = Consumer(
        {
            "bootstrap.servers": chosen.bootstrap_server,
            "group.id": f"{chosen.topic}.{chosen.what}",
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            # Commits in the background what was marked as done, and on closing.
            "enable.auto.commit": True,
            "enable.auto.offset.store": False,
        }
    )
    consumer.subscribe([chosen.topic])
    try:
        while not stopping:
            done = []
            for message in consumer.consume(100, timeout=0.1):
                error = message.error()
                if error is not None:
                    if error.fatal():
                        raise KafkaException(error)
                    print(f"trouble, going on: {error}", flush=True)
                    continue
                answer = following(json.loads(message.value() or b""), SERVICES[chosen.what])
                if answer is not None:
                    events.send(answer)
                    print(f"order {answer['order']}: {answer['type']}", flush=True)
                done.append(message)
            events.wait()
            for message in done:
                consumer.store_offsets(message)
    finally:
        consumer.close()


def place(chosen: argparse.Namespace, events: Events) -> None:
    for _ in range(chosen.count):
        order = str(uuid.uuid4())
        events.send(
            {
                "event_id": str(uuid.uuid4()),
                "correlation_id": order,
                "type": "order_placed",
                "order": order,
                "pieces": chosen.pieces,
            }
        )
    events.wait()
    print(f"placed {chosen.count} orders of {chosen.pieces} pieces")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["place", *SERVICES])
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="order-flow")
    options.add_argument("--count", type=int, default=1, help="place: how many orders")
    options.add_argument("--pieces", type=int, default=1, help=f"place: more than {IN_STOCK} are not in stock")
    chosen = options.parse_args()
    events = Events(chosen.bootstrap_server, chosen.topic)
    if chosen.what == "place":
        place(chosen, events)
    else:
        serve(chosen, events)


if __name__ == "__main__":
    main()
