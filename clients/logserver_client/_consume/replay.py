"""A replay without its face: a range of offsets per partition, read once, with what is counted on the way."""

from collections.abc import Callable
from typing import Any

from logserver_client._consume.config import ConsumerConfig
from logserver_client._consume.core import ConsumerCore
from logserver_client._consume.range import OffsetRange, plan
from logserver_client._consume.reader import Piece
from logserver_client.types import PartitionLike, Position, TopicPartition


class ReplayCore:
    """What both forms of a replay have in common."""

    def __init__(
        self,
        config: ConsumerConfig,
        wake: Callable[[], None],
        topic: str,
        start: Position,
        end: Position | None,
        partition: int | None,
    ) -> None:
        if config.group is not None:
            raise ValueError("a replay is in no group: leave group_id out")
        self.core = ConsumerCore(config, wake)
        self.core.reader.counts_bytes = True
        self.ranges: dict[TopicPartition, OffsetRange] = {}
        self.skipped: list[TopicPartition] = []
        self.shortened: list[TopicPartition] = []
        self.records = 0
        self._arguments = (topic, start, end, partition)
        self._left = 0

    @property
    def bytes(self) -> int:
        return self.core.reader.payload_bytes

    async def start(self) -> None:
        """Works out the ranges and starts reading them."""
        topic, start, end, partition = self._arguments
        self.ranges, self.skipped, self.shortened = await plan(self.core, topic, start, end, partition)
        to_read = {tp: range_ for tp, range_ in self.ranges.items() if range_.start < range_.end}
        # "earliest" as it is: a log start offset may have moved on by the time the server gets it.
        places: dict[PartitionLike, Any] = {
            tp: "earliest" if start == "earliest" else range_.start for tp, range_ in to_read.items()
        }
        self._left = len(places)
        if places:
            await self.core.assign(places, start, {tp: range_.end for tp, range_ in to_read.items()})

    def next_piece(self) -> Piece | None:
        """Returns the next piece; None if nothing has come, or all is done.

        Raises:
            LogServerError: a partition can't be read on.
        """
        return self.core.reader.next_piece() if self._left else None

    @property
    def is_done(self) -> bool:
        """True when every partition has been read to its end."""
        return self.core.reader.finished_partitions >= self._left
