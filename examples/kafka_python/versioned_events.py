"""Events whose fields change over the years, while old ones stay in the topic and old programs go on.

    python -m examples.kafka_python.versioned_events write --version 1      # what an old program wrote
    python -m examples.kafka_python.versioned_events write --version 3      # what a new one writes
    python -m examples.kafka_python.versioned_events read                   # reads them all, as version 3

What to watch out for:
- The version stands in the event from the first day. A topic keeps what was written, so a reader meets every version
  that retention has left, in any order.
- A reader lifts an event one version at a time, and the work sees the newest shape only.
- Adding a field with a default is no new version: readers ignore what they do not know. Another meaning, name or
  unit is.
- New readers first, then new writers. A version that this reader does not know stops it, uncommitted: guessing would
  do the wrong thing quietly.
- The time in an event is when it happened, with its zone; the record's own timestamp is when it was sent.

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from kafka import KafkaConsumer, KafkaProducer

NEWEST = 3


@dataclass(frozen=True)
class Event:
    """What every event says about itself, whatever it is about."""

    type: str
    version: int
    source: str
    data: dict[str, Any]
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Stays the same however often the event is sent."""
    correlation_id: str = ""
    """Shared by all events that came from the same request."""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


class UnknownVersion(Exception):
    """This program is older than the event."""


def to_version_2(data: dict[str, Any]) -> dict[str, Any]:
    """Version 2 has the amount in cents, and says the currency."""
    rest = {name: value for name, value in data.items() if name != "amount"}
    return {**rest, "cents": round(data["amount"] * 100), "currency": "EUR"}


def to_version_3(data: dict[str, Any]) -> dict[str, Any]:
    """Version 3 has the customer as an object."""
    return {**data, "customer": {"name": data["customer"]}}


LIFTS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: to_version_2, 2: to_version_3}


def newest(value: bytes) -> Event:
    """Reads an event of any version as the newest; raises UnknownVersion."""
    raw = json.loads(value)
    known = {name: raw[name] for name in Event.__dataclass_fields__ if name in raw}
    if raw["version"] > NEWEST:
        raise UnknownVersion(f"version {raw['version']} of {raw['type']}: this program knows up to {NEWEST}")
    for version in range(raw["version"], NEWEST):
        known["data"] = LIFTS[version](known["data"])
    return Event(**{**known, "version": NEWEST})


def write(chosen: argparse.Namespace) -> None:
    shapes: dict[int, dict[str, Any]] = {
        1: {"order": 1, "amount": 12.3, "customer": "Ada"},
        2: {"order": 2, "cents": 1230, "currency": "EUR", "customer": "Ada"},
        3: {"order": 3, "cents": 1230, "currency": "USD", "customer": {"name": "Ada", "country": "UK"}},
        4: {"order": 4, "total": {"cents": 1230, "currency": "EUR"}},
    }
    event = Event("order_placed", chosen.version, "shop", shapes[chosen.version])
    with KafkaProducer(bootstrap_servers=chosen.bootstrap_server) as producer:
        future = producer.send(
            chosen.topic,
            key=b"order-%d" % event.data["order"],
            value=json.dumps(asdict(event)).encode(),
            # Also where a router can see it without reading the value.
            headers=[("type", event.type.encode()), ("version", b"%d" % event.version)],
        )
        future.get(timeout=30)
    print(f"wrote {event.type} version {event.version}")


def read(chosen: argparse.Namespace) -> None:
    with KafkaConsumer(
        chosen.topic, bootstrap_servers=chosen.bootstrap_server, group_id=chosen.group, auto_offset_reset="earliest"
    ) as consumer:
        for message in islice(consumer, chosen.max):
            event = newest(message.value)
            cents, customer = event.data["cents"], event.data["customer"]["name"]
            print(f"order {event.data['order']}: {cents} {event.data['currency']} from {customer}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["write", "read"])
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="versioned-events")
    options.add_argument("--version", type=int, choices=[1, 2, 3, 4], default=NEWEST, help="write: which version")
    options.add_argument("--group", default="versioned-reader", help="read: the group")
    options.add_argument("--max", type=int, help="read: end after so many events; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    if chosen.what == "write":
        write(chosen)
    else:
        read(chosen)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("stopped")
    except UnknownVersion as error:
        sys.exit(str(error))
