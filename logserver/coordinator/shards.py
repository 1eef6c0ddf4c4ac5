"""The shards of a coordinator: one runtime for each partition of the internal topic that keeps its state."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from logserver.broker import Broker
from logserver.broker.partition import Partition
from logserver.coordinator.routing import partition_of
from logserver.coordinator.runtime import MachineRuntime
from logserver.errors import ErrorCode, LogServerError

R = TypeVar("R", bound=MachineRuntime[Any])

_COMPACTED: Final = {"cleanup.policy": "compact"}


class Shards(Generic[R]):
    """Runtimes by the number of their partition.

    The topic is made when the first thing is to be kept in it; a number of partitions found there stays.

    Args:
        topic: an internal one.
        new_runtime: makes the runtime of a partition, which is started here.
    """

    def __init__(self, broker: Broker, topic: str, new_runtime: Callable[[Partition], R]) -> None:
        self._broker = broker
        self._topic = topic
        self._new_runtime = new_runtime
        self._runtimes: list[R] = []

    def __iter__(self) -> Iterator[R]:
        return iter(self._runtimes)

    def __len__(self) -> int:
        """Returns how many there are: none before there is anything to keep."""
        return len(self._runtimes)

    # Start and stop

    def start(self) -> None:
        """Takes up the partitions that there are, now and later."""
        self._broker.when_topics_change(self._take_up)
        self._take_up()

    def stop(self) -> None:
        """Ends all of them; everybody who waits is answered."""
        for runtime in self._runtimes:
            runtime.stop()

    def _take_up(self) -> None:
        topic = self._broker.find_topic(self._topic)
        if topic is None:
            return
        for partition in topic.partitions[len(self._runtimes) :]:
            runtime = self._new_runtime(partition)
            self._runtimes.append(runtime)
            runtime.start()

    async def loaded(self) -> None:
        """Returns when every one of them has been read, or can't be."""
        for runtime in self._runtimes:
            await runtime.loaded()

    # Finding them

    def find(self, name: str) -> R | None:
        """Returns the one that keeps what is stored under a name; None before there is anything."""
        return self._runtimes[partition_of(name, len(self._runtimes))] if self._runtimes else None

    async def get(self, name: str, missing: Callable[[], LogServerError]) -> R:
        """As `find`, once it has been read, or can't be.

        Args:
            missing: makes the error for a name that can't be known, because nothing has ever been stored.

        Raises:
            LogServerError: `missing`.
        """
        found = self.find(name)
        if found is None:
            raise missing()
        await found.loaded()
        return found

    async def get_or_make(self, name: str, partitions: int, settings: Mapping[str, str]) -> R:
        """As `get`, for a name that may be new: makes the topic if it isn't there.

        Args:
            partitions: of the topic that is made.
            settings: of that topic, which is compacted unless they say otherwise.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE, or the topic can't be made.
        """
        if not self._runtimes:
            await self._broker.create_internal_topic(self._topic, partitions, {**_COMPACTED, **settings})
        return await self.get(
            name,
            lambda: LogServerError(ErrorCode.coordinator_not_available, f"the topic {self._topic} is not there yet"),
        )
