"""All that a server holds of work queues, read past its doors."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from logserver_records.batch import whole_batches
from logserver_records.codec import decode_batch
from logserver_records.errors import RecordError

from logserver.broker.isolation import IsolationLevel
from logserver.coordinator.delivery import move_records
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.unsettled import State
from logserver.errors import ErrorCode, LogServerError
from logserver.simulation.checks.state import read_whole
from logserver.simulation.clients.writer import name_of
from logserver.simulation.deliveries import Terms
from logserver.simulation.ledger import Place, Violation
from logserver.simulation.node import SimulatedDaemon

_MOST_BYTES: Final = 1 << 20
_MOST_LOOKS: Final = 600
_LOOK_S: Final = 0.1


class Unsettled(NamedTuple):
    """A message that somebody has had, and what becomes of it next."""

    state: State
    deliveries: int
    failures: int
    number: int


class Moved(NamedTuple):
    """A message that was moved to another topic."""

    place: Place
    offset: int
    value: str
    deliveries: int
    """So many before; 0 if that is not said."""


@dataclass
class QueuePartitionState:
    """A partition of a queue."""

    place: Place
    start: int
    """Of its log."""
    end: int
    epoch: int
    perhaps_end: int
    """Below, what nobody is known to have had counts as delivered once."""
    unsettled: dict[int, Unsettled] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    """Offsets of what nobody is known to have had."""


@dataclass
class QueueState:
    """A queue."""

    partitions: list[QueuePartitionState] = field(default_factory=list)
    moved: dict[tuple[Place, int], list[Moved]] = field(default_factory=dict)
    """What has gone elsewhere, by where it came from."""


async def read_queue(daemon: SimulatedDaemon, terms: Terms) -> QueueState:
    """Reads a queue, once what is on its way to other topics has arrived.

    Raises:
        Violation: it can't be read, or something does not arrive.
    """
    state = QueueState()
    try:
        places = await _settled(daemon, terms)
    except LogServerError as error:
        if error.code is ErrorCode.invalid_request and not terms.is_declared:
            # A share group that has not begun.
            return state
        raise Violation("queue unavailable", f"{terms.name}: {error.message}", terms.name) from error
    state.partitions = [_read(terms, place) for place in places]
    # Afterwards: so it has all that was settled by being moved.
    moved = defaultdict(list)
    for topic in filter(None, (terms.dead_letters, terms.destination)):
        for found in await _read_moved(daemon, terms, topic):
            moved[found.place, found.offset].append(found)
    state.moved = dict(moved)
    return state


async def _settled(daemon: SimulatedDaemon, terms: Terms) -> list[QueuePartition]:
    """Returns the partitions of a queue, once nothing is on its way elsewhere."""
    for _ in range(_MOST_LOOKS):
        topic = daemon.broker.find_topic(terms.topic)
        numbers = range(len(topic.partitions) if topic is not None else 0)
        places = [await daemon.queues.places.get(terms.group, terms.topic, number) for number in numbers]
        if not any(place.engine.moves for place in places):
            return places
        await asyncio.sleep(_LOOK_S)
    left = [
        f"{move.first} of {place.source} ({move.refusal})" for place in places for move in place.engine.moves.values()
    ]
    raise Violation(
        "stuck message", f"queue {terms.name}: {left} is not elsewhere after {_MOST_LOOKS * _LOOK_S} s", terms.name
    )


def _read(terms: Terms, place: QueuePartition) -> QueuePartitionState:
    place.refresh()
    engine = place.engine
    state = QueuePartitionState(
        (terms.topic, place.source.number),
        place.source.log_start_offset,
        engine.end,
        engine.epoch,
        engine.redelivered_end,
    )
    for found in engine.unsettled:
        one = Unsettled(found.state, found.acquisitions, found.failures, found.number)
        state.unsettled.update(dict.fromkeys(range(found.first, found.last + 1), one))
    for first, last in engine.waiting():
        state.waiting.update(range(first, last + 1))
    return state


async def _read_moved(daemon: SimulatedDaemon, terms: Terms, name: str) -> list[Moved]:
    """Returns what was moved from a queue to a topic."""
    topic = daemon.broker.find_topic(name)
    moved: list[Moved] = []
    for partition in topic.partitions if topic is not None else ():
        try:
            data = await read_whole(partition, IsolationLevel.READ_UNCOMMITTED)
            records = [
                record
                for position, _ in whole_batches(data)
                for record in decode_batch(data, position, max_decompressed_bytes=_MOST_BYTES, verify_crc=True)
            ]
        except (LogServerError, RecordError) as error:
            raise Violation("unreadable record", f"{partition}: {error}", name) from error
        for record in records:
            headers = {key: (value or b"").decode() for key, value in record.headers}
            if headers.get(move_records.QUEUE) == terms.name:
                place = (headers[move_records.TOPIC], int(headers[move_records.PARTITION]))
                deliveries = int(headers.get(move_records.DELIVERIES, 0))
                moved.append(Moved(place, int(headers[move_records.OFFSET]), name_of(record), deliveries))
    return moved
