"""Requests with as many elements as may be, in each of their lists in turn."""

import copy
from collections.abc import Iterator
from typing import Any, Final

from logserver.kafka_api.codec.schema import FieldSchema, StructSchema, message_schema

from .every_message import World
from .groups import commit, stable
from .raw_client import CREATE_TOPICS, METADATA, RawClient
from .records import batch, stored

_NO_TOPIC: Final = "B" * 21 + "A"


class RemoteWorld(World):
    """A world in a server that can only be spoken to."""

    def __init__(self, address: str) -> None:
        self.made = 0
        self.records = batch("a")
        with RawClient(address) as client:
            topic = {"name": "t", "num_partitions": 2, "replication_factor": 1}
            self.topic_id = client.call(CREATE_TOPICS, 7, {"topics": [topic], "timeout_ms": 10_000}).topics[0].topic_id
            self.node_id = client.call(METADATA, 12, {"topics": []}).brokers[0].node_id
            self.data_dir = "/nowhere"
            self.member = stable(client, group_id="members", session_timeout_ms=1_800_000)
            commit(client, {("t", 0): 1})
            stored(client, self.records)

    def doomed(self) -> tuple[str, str]:
        return self.fresh("doomed"), _NO_TOPIC


def lists_of(schema: StructSchema, before: tuple[FieldSchema, ...] = ()) -> Iterator[tuple[FieldSchema, ...]]:
    """Returns the way to each list of a message."""
    for field in schema.fields:
        if field.is_array:
            yield (*before, field)
        if field.struct is not None:
            yield from lists_of(field.struct, (*before, field))


def filled(world: World, api_key: int, version: int, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns sensible requests, each with one of its lists filled, with the same and with different elements, and
    what it is."""
    sensible = world.message(api_key, version, "sensible")
    sensible |= {"validate_only": True, "allow_auto_topic_creation": False}
    for way in lists_of(message_schema(api_key, version, "request")):
        for is_same in (True, False):
            message = copy.deepcopy(sensible)
            if _fill(world, api_key, version, message, way, count, is_same):
                name = ".".join(field.name for field in way)
                yield f"{name}, {'the same' if is_same else 'different'}", message


def _fill(
    world: World,
    api_key: int,
    version: int,
    message: dict[str, Any],
    way: tuple[FieldSchema, ...],
    count: int,
    is_same: bool,
) -> bool:
    """Fills a list; returns whether there was a way to it."""
    inside = message
    for field in way[:-1]:
        found = inside[field.name]
        if not found:
            return False
        inside = found[0] if field.is_array else found
    last = way[-1]
    elements = inside.get(last.name) or [world.element(api_key, version, last)]
    count //= _elements_of(elements[0])
    inside[last.name] = elements[:1] * count if is_same else [_other(elements[0], number) for number in range(count)]
    return True


def _elements_of(element: Any) -> int:
    """Returns how many elements there are in an element, itself among them."""
    if not isinstance(element, dict):
        return 1
    return 1 + sum(_elements_of(part) for value in element.values() if isinstance(value, list) for part in value)


def _other(element: Any, number: int) -> Any:
    """Returns an element that is like another, but with a name or a number of its own."""
    if isinstance(element, str):
        return f"{number:x}"
    if isinstance(element, int):
        return number % 128
    other = dict(element)
    for name, value in element.items():
        if name in ("partition", "partition_index", "index"):
            other[name] = number
            break
        if isinstance(value, str) and name not in ("topic_id", "entity_type"):
            other[name] = f"{number:x}"
            break
    return other
