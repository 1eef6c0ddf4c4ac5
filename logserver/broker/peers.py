"""How coordinators reach partitions that another node may lead."""

from typing import NamedTuple, Protocol

from logserver.broker.broker import Broker
from logserver.broker.partition import Partition


class PartitionOffsets(NamedTuple):
    """The ends of a partition: offset of its first record, and the offset behind its last one that can be read."""

    log_start_offset: int
    high_watermark: int
    leader_epoch: int


class Peers(Protocol):
    """Partitions by name, wherever they are led.

    Every call is safe to repeat, and raises NOT_LEADER_OR_FOLLOWER where the leader is not known or has changed.
    """

    async def offsets(self, topic: str, partition: int) -> PartitionOffsets:
        """Returns the ends of a partition.

        Raises:
            LogServerError: there is no such partition, or it can't be read.
        """
        ...

    async def offset_for_timestamp(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Returns the offset of the first record with at least that timestamp; the high watermark if there is none.

        Raises:
            LogServerError: there is no such partition, or it can't be read.
        """
        ...


class LocalPeers:
    """Everything is on this node."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def offsets(self, topic: str, partition: int) -> PartitionOffsets:
        """As `Peers.offsets`."""
        found = self._readable(topic, partition)
        return PartitionOffsets(found.log_start_offset, found.high_watermark, found.leader_epoch)

    async def offset_for_timestamp(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """As `Peers.offset_for_timestamp`."""
        partition_here = self._readable(topic, partition)
        found = await partition_here.offset_for_timestamp(timestamp_ms)
        return found.offset if found is not None else partition_here.high_watermark

    def _readable(self, topic: str, number: int) -> Partition:
        partition = self._broker.partition(topic, number)
        if partition.unavailable is not None:
            raise partition.unavailable
        return partition
