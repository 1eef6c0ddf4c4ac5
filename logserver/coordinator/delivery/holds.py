"""Queues that keep retention from what they have not settled."""

from collections.abc import Callable, Iterable

from logserver.broker import Broker
from logserver.broker.partition import Partition
from logserver.coordinator.delivery.catalog import QueueRecord
from logserver.coordinator.delivery.places import Places
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.share_state.state_key import StateKey


class Holds:
    """Holds the sources of the queues that want it.

    Args:
        queues: returns the declared queues.
    """

    def __init__(
        self, broker: Broker, places: Places, state: ShareState, queues: Callable[[], Iterable[QueueRecord]]
    ) -> None:
        self._broker = broker
        self._places = places
        self._state = state
        self._queues = queues
        self._held: dict[Partition, set[str]] = {}

    def update(self) -> None:
        """Looks at queues and topics anew, since some have changed."""
        wanted: dict[Partition, set[str]] = {}
        for record in self._queues():
            if record.hold:
                for source in record.sources:
                    topic = self._broker.find_topic(source.topic)
                    for partition in topic.partitions if topic is not None else ():
                        wanted.setdefault(partition, set()).add(record.name)
        for partition, names in self._held.items():
            for name in names - wanted.get(partition, set()):
                partition.release(name)
        for partition, names in wanted.items():
            topic_id = self._broker.topic(partition.topic).record.topic_id
            for name in names - self._held.get(partition, set()):
                partition.hold(name, self._from(StateKey(name, topic_id, partition.number)))
        self._held = wanted

    def _from(self, key: StateKey) -> Callable[[], int]:
        def start() -> int:
            place = self._places.find(key)
            if place is not None:
                return place.engine.start
            # What has not begun, or has not been read yet, needs everything.
            return self._state.start_of(key) or 0

        return start
