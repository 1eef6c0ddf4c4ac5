"""The states of share groups and queues of this node: the share coordinator."""

from collections.abc import Iterator
from typing import Final

from logserver_segments.seams import Clock, Workers

from logserver.broker import Broker
from logserver.broker.partition import Partition
from logserver.coordinator.delivery.events import Event
from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.shards import Shards
from logserver.coordinator.share_state.formats import NOT_DECIDED, SNAPSHOT, encode_key
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.runtime import ShareRuntime
from logserver.coordinator.share_state.state_key import Image, StateKey, StateSummary, StateWriter
from logserver.coordinator.share_state.story import Stories, Teller
from logserver.coordinator.turns import Turns
from logserver.errors import ErrorCode, LogServerError

SHARE_GROUP_STATE: Final = "__share_group_state"


class ShareState:
    """States by their keys.

    The topic `__share_group_state` is made when the first state is to be kept; a number of partitions found there
    stays.
    """

    def __init__(self, broker: Broker, clock: Clock, workers: Workers) -> None:
        self._broker = broker
        self._clock = clock
        self._limits = StateLimits.of(broker.settings)
        self._turns = Turns()
        self._stories = Stories(broker, workers)
        self._shards = Shards(broker, SHARE_GROUP_STATE, self._new_runtime)
        self._open: dict[StateKey, ShareRuntime] = {}

    # Start and stop

    def start(self) -> None:
        """Takes up the partitions that this node leads, now and later."""
        self._shards.start()

    def stop(self) -> None:
        """Ends all of them; writers that have not closed lose their states."""
        self._shards.stop()

    async def loaded(self) -> None:
        """Returns when every partition has been read, or can't be."""
        await self._shards.loaded()

    def _new_runtime(self, partition: Partition) -> ShareRuntime:
        return ShareRuntime(
            partition, self._limits, self._prune, Teller(self._stories, partition.number), self._clock, self._turns
        )

    async def _prune(self, partition: Partition, offset: int) -> int:
        return await self._broker.delete_records(partition.topic, partition.number, offset)

    async def _shard(self, key: StateKey) -> ShareRuntime:
        """Returns the runtime that keeps a key, making the topic if it isn't there."""
        try:
            encode_key(SNAPSHOT, key)
        except ValueError as error:
            raise LogServerError(
                ErrorCode.invalid_request, f"no state can be kept of {key.name[:100]}: {error}"
            ) from None
        settings = self._broker.settings
        return await self._shards.get_or_make(
            key.name,
            settings.share_coordinator_state_topic_num_partitions,
            {
                "cleanup.policy": "delete",
                "retention.ms": "-1",
                "retention.bytes": "-1",
                "segment.bytes": str(settings.share_coordinator_state_topic_segment_bytes),
            },
        )

    # Holding a state

    async def open(self, key: StateKey, writer: StateWriter, *, leader_epoch: int) -> Image | None:
        """Gives a state to a writer, who has it from here on, until it closes it or is told that it is lost.

        A writer who had it before is told so. Nothing is written until the writer says that there is something; the
        first that is written is a snapshot.

        Args:
            leader_epoch: of the partition that is worked on, which is kept with the state and fences older ones; -1
                without.

        Returns:
            What is kept; None if nothing is known of the key, which changes with the first that is written.

        Raises:
            LogServerError: FENCED_LEADER_EPOCH; or the coordinator is not here: NOT_COORDINATOR,
                COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE.
        """
        runtime = await self._shard(key)
        await self._stories.prepare(len(self._shards))
        image = runtime.open(key, writer, leader_epoch)
        self._open[key] = runtime
        return image

    def dirty(self, key: StateKey, writer: StateWriter) -> None:
        """Has what a writer has taken in the next round, which begins when the one under way is durable; cheap, and
        nothing if the writer does not have the state (any more)."""
        runtime = self._open.get(key)
        if runtime is not None:
            runtime.dirty(key, writer)

    def close(self, key: StateKey, writer: StateWriter, stored: Stored | None) -> None:
        """Takes a state back; the writer hears nothing more, also not that something is durable.

        What is not written yet is written, but nobody is told when it is durable.

        Args:
            stored: what `take_snapshot` gives; None is enough where nothing was ever said to be written.
        """
        runtime = self._open.pop(key, None)
        if runtime is not None:
            runtime.close(key, writer, stored)

    # Requests

    async def initialize(self, key: StateKey, state_epoch: int, start_offset: int) -> None:
        """Sets where a queue begins, and forgets what was delivered (Kafka: InitializeShareGroupState).

        A writer that has the state loses it, with FENCED_STATE_EPOCH.

        Args:
            start_offset: -1 if it is to be decided when somebody opens the state.

        Raises:
            LogServerError: FENCED_STATE_EPOCH if the state was set under a later state epoch, or as for `open`.
        """
        if start_offset < NOT_DECIDED:
            raise LogServerError(ErrorCode.invalid_request, f"{key.name} can't begin at offset {start_offset}")
        await (await self._shard(key)).initialize(key, state_epoch, start_offset)

    async def delete(self, key: StateKey) -> None:
        """Forgets a state; fine if there is none (Kafka: DeleteShareGroupState).

        A writer that has the state loses it, with FENCED_STATE_EPOCH.

        Raises:
            LogServerError: as for `open`.
        """
        runtime = await self._existing(key)
        if runtime is not None:
            await runtime.delete(key)

    async def summary(self, key: StateKey) -> StateSummary | None:
        """Returns a state in a few numbers, as far as it is durable; None if nothing is known of the key (Kafka:
        ReadShareGroupStateSummary).

        Raises:
            LogServerError: as for `open`.
        """
        runtime = await self._existing(key)
        return None if runtime is None else await runtime.summary(key)

    async def look(self, key: StateKey) -> Image | None:
        """Returns what is kept of a key, for nobody to go on from; None if nothing is known of it, or somebody has it.

        Raises:
            LogServerError: as for `open`.
        """
        runtime = await self._existing(key)
        return None if runtime is None else runtime.image_of(key)

    async def story(self, key: StateKey, offset: int) -> list[Event]:
        """Returns what became of a record, in the order in which it did: as far back as `queue.history.retention.ms`
        says, and the last chapters only if there are thousands.

        Raises:
            LogServerError: CORRUPT_MESSAGE, or it can't be read.
        """
        runtime = await self._existing(key)
        if runtime is None:
            return []
        runtime.tell(key)
        return await self._stories.read(runtime.partition.number, key, offset)

    async def _existing(self, key: StateKey) -> ShareRuntime | None:
        runtime = self._shards.find(key.name)
        if runtime is not None:
            await runtime.loaded()
        return runtime

    def keys(self) -> Iterator[StateKey]:
        """Yields the keys of which something is known, of the partitions that have been read."""
        for runtime in self._shards:
            yield from runtime.keys()

    def start_of(self, key: StateKey) -> int | None:
        """Returns the start offset that was written last; None if it is not known, or not yet."""
        runtime = self._shards.find(key.name)
        return None if runtime is None else runtime.start_of(key)

    def unfinished(self) -> Iterator[StateKey]:
        """Yields the keys that nobody has open and in which something goes on: locks that run out, delays, moves."""
        for runtime in self._shards:
            yield from runtime.unfinished()
