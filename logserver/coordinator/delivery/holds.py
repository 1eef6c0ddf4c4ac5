"""Queues that keep retention from what they have not settled."""

from collections.abc import Callable, Iterator

from logserver.broker import Broker
from logserver.broker.partition import Partition
from logserver.coordinator.delivery.catalog import QueueRecord
from logserver.coordinator.delivery.places import Places
from logserver.coordinator.share_state.share_state import ShareState
from logserver.coordinator.share_state.state_key import StateKey


class Holds:
    """Holds the sources of the queues that want it.

    Args:
        find: returns a declared queue.
    """

    def __init__(
        self, broker: Broker, places: Places, state: ShareState, find: Callable[[str], QueueRecord | None]
    ) -> None:
        self._broker = broker
        self._places = places
        self._state = state
        self._find = find
        # Of the queues that hold something, or will when their topics are there.
        self._held: dict[str, set[Partition]] = {}

    def update(self, name: str) -> None:
        """Looks at a queue anew, since it or its topics have changed; costs what its partitions cost."""
        record = self._find(name)
        before = self._held.pop(name, set())
        wanted: set[Partition] = set()
        if record is not None and record.hold:
            wanted = self._held[name] = set(self._sources(record))
        for partition in before - wanted:
            partition.release(name)
        for partition in wanted - before:
            topic_id = self._broker.topic(partition.topic).record.topic_id
            partition.hold(name, self._from(StateKey(name, topic_id, partition.number)))

    def names(self) -> tuple[str, ...]:
        """Returns the queues whose topics matter."""
        return tuple(self._held)

    def _sources(self, record: QueueRecord) -> Iterator[Partition]:
        for source in record.sources:
            topic = self._broker.find_topic(source.topic)
            if topic is not None:
                yield from topic.partitions

    def _from(self, key: StateKey) -> Callable[[], int]:
        def start() -> int:
            place = self._places.find(key)
            if place is not None:
                return place.engine.start
            # What has not begun, or has not been read yet, needs everything.
            return self._state.start_of(key) or 0

        return start
