"""Which fields of two answers to the same request differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .messages import api_name
from .session import Answer, Exchange

_ABSENT: Final = "absent"
_PRESENT: Final = "present"
# What names an element of an array, so that the order of the elements does not matter.
_NAMES: Final = (
    "name",
    "topic",
    "topic_name",
    "resource_name",
    "group_id",
    "topic_id",
    "partition_index",
    "partition",
    "partition_id",
    "index",
    "api_key",
    "group_instance_id",
    "member_id",
    "node_id",
    "broker_id",
    "replica_id",
    "feature",
    "user",
    "transactional_id",
    "producer_id",
)
_NO_NAMES: Final = ("", "A" * 22)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, or element of an array, that differs."""

    part: str
    label: str
    api_key: int
    version: int
    field: str
    """Names joined by slashes; an element of an array has the name that it goes by, such as its topic's."""
    kafka: str
    ours: str

    @property
    def api(self) -> str:
        """Kafka's name of the API."""
        return api_name(self.api_key)


def differences(kafka: Sequence[Exchange], ours: Sequence[Exchange]) -> list[Difference]:
    """Returns all differences, in the order of the requests.

    Args:
        kafka, ours: the exchanges with each server, made comparable.
    """
    found: list[Difference] = []
    answered = {(exchange.part, exchange.label): exchange for exchange in ours}
    for theirs in kafka:
        other = answered.pop((theirs.part, theirs.label), None)
        if other is None:
            found.append(_whole(theirs, _PRESENT, "not asked"))
            continue
        found += _of_one(theirs, other.answer)
    found += [_whole(exchange, "not asked", _PRESENT) for exchange in answered.values()]
    return found


def _whole(exchange: Exchange, kafka: str, ours: str) -> Difference:
    return Difference(exchange.part, exchange.label, exchange.api_key, exchange.version, "", kafka, ours)


def _of_one(theirs: Exchange, answer: Answer) -> Iterator[Difference]:
    kafka, ours = dict(_flat(theirs.answer, "")), dict(_flat(answer, ""))
    lacking: list[str] = []
    for field in [*kafka, *(field for field in ours if field not in kafka)]:
        if any(field.startswith(f"{above}/") for above in lacking):
            continue
        left, right = kafka.get(field, _ABSENT), ours.get(field, _ABSENT)
        if left == right:
            continue
        if _ABSENT in (left, right) or _PRESENT in (left, right):
            lacking.append(field)
        yield Difference(theirs.part, theirs.label, theirs.api_key, theirs.version, field, left, right)


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yields every field with its value as text. What holds others is there itself, too, as `present`."""
    if isinstance(value, dict):
        if path:
            yield path, _PRESENT
        for key, part in value.items():
            yield from _flat(part, f"{path}/{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        yield path, _PRESENT
        seen: dict[str, int] = {}
        for position, part in enumerate(value):
            name = _name(part, position)
            seen[name] = seen.get(name, 0) + 1
            yield from _flat(part, f"{path}/{name}" if seen[name] == 1 else f"{path}/{name}#{seen[name]}")
    else:
        yield path, repr(value) if not isinstance(value, list) else f"[{', '.join(map(repr, value))}]"


def _name(element: Any, position: int) -> str:
    # Record batches go by their place.
    if isinstance(element, dict) and "base_sequence" not in element:
        for name in _NAMES:
            if isinstance(element.get(name), (str, int)) and element[name] not in _NO_NAMES:
                kind = f"{element['resource_type']} " if "resource_type" in element else ""
                return kind + str(element[name]).replace("/", "|")
        if any(element.get(name) == "" for name in _NAMES):
            return "''"
    return str(position)
