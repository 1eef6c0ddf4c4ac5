"""confluent-kafka: services that react to each other's events."""

import json
import uuid
from collections import defaultdict
from contextlib import ExitStack

from logserver.testing import LogServer

from .programs import Running, make_topic, run, running, stored

DELIVERED = ["order_placed", "payment_taken", "stock_reserved", "customer_told_of_delivery"]
FAILED = ["order_placed", "payment_taken", "stock_missing", "payment_returned", "customer_told_of_failure"]


def test_orders_come_to_their_ends_although_a_service_is_killed(server: LogServer) -> None:
    topic = make_topic(server, "flow")
    flow = ["--topic", topic]
    run(server, "confluent_kafka.order_flow", "place", *flow, "--count", "300")
    run(server, "confluent_kafka.order_flow", "place", *flow, "--count", "20", "--pieces", "6")
    with ExitStack() as stack:

        def service(name: str) -> Running:
            return stack.enter_context(running(server, "confluent_kafka.order_flow", name, *flow))

        payment, stock, notification = map(service, ("payment", "stock", "notification"))
        payment.read(50)
        payment.kill()
        payment = service("payment")
        told: set[str] = set()

        def all_told(line: str) -> bool:
            told.add(line)
            return len(told) == 320

        notification.read_until(all_told)
        for one in (payment, stock, notification):
            one.stop()
    events: dict[str, dict[str, str]] = defaultdict(dict)
    for record in stored(server, topic):
        event = json.loads(record.value or b"")
        # The killed one may have sent an event twice: with the same id.
        assert events[event["order"]].setdefault(event["type"], event["event_id"]) == event["event_id"]
        if event["type"] == "payment_taken":
            cause = uuid.UUID(events[event["order"]]["order_placed"])
            assert event["event_id"] == str(uuid.uuid5(cause, "payment_taken"))
    ways = [list(types) for types in events.values()]
    assert (ways.count(DELIVERED), ways.count(FAILED)) == (300, 20)
