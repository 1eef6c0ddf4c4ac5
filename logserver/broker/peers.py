"""How coordinators reach partitions that another node may lead."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, Protocol

from logserver_records.control import ControlType, EndTransactionMarker
from logserver_segments.reading import Slice

from logserver.broker.broker import Broker
from logserver.broker.partition import Partition
from logserver.errors import LogServerError

_MARKERS_AT_A_TIME: Final = 100
"""Written between two turns of the event loop."""

Place = tuple[str, int]
"""Topic name and partition number."""


Ended = Callable[[Place, LogServerError | None], None]


class PartitionOffsets(NamedTuple):
    """The ends of a partition: offset of its first record, and the offset behind its last one that can be read."""

    log_start_offset: int
    high_watermark: int
    leader_epoch: int


class TransactionMarker(NamedTuple):
    """The end of a producer's transaction, for the partitions that it has touched (WriteTxnMarkers)."""

    producer_id: int
    producer_epoch: int
    is_commit: bool
    coordinator_epoch: int
    """Leader epoch of the partition that keeps the transaction: who led it before is fenced by it."""
    transaction_version: int = 0
    """2 where the producer's epoch rises with every transaction (KIP-890)."""


class Peers(Protocol):
    """Partitions by name, wherever they are led.

    Every call but `append` is safe to repeat; all raise NOT_LEADER_OR_FOLLOWER where the leader is not known or has
    changed.
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

    async def partitions(self, topic: str) -> int:
        """Returns how many partitions a topic has.

        Raises:
            LogServerError: UNKNOWN_TOPIC_OR_PARTITION.
        """
        ...

    async def append(self, topic: str, partition: int, batch: bytes) -> int:
        """Appends a record batch that this server has built; returns the offset of its first record once it is durable.

        Unlike the others it is not safe to repeat: after an error the records may have been stored, unless it says
        that they were refused (`LogServerError.code` is not retriable).

        Raises:
            LogServerError: the records are refused or too large, or it is not known what became of them.
        """
        ...

    async def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Slice:
        """Returns committed batches from the one that holds `offset` on.

        Raises:
            LogServerError: OFFSET_OUT_OF_RANGE, or it can't be read.
        """
        ...

    async def write_markers(
        self, marker: TransactionMarker, places: Collection[Place]
    ) -> Mapping[Place, LogServerError | None]:
        """Ends a producer's transaction in partitions; returns for each what has gone wrong, None where it is durable.

        UNKNOWN_TOPIC_OR_PARTITION says that there is no such partition any more.
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

    async def partitions(self, topic: str) -> int:
        """As `Peers.partitions`."""
        return len(self._broker.topic(topic).partitions)

    async def append(self, topic: str, partition: int, batch: bytes) -> int:
        """As `Peers.append`."""
        found = self._broker.partition(topic, partition)
        # As a client's: the topic's own limits and rules hold.
        appended = found.append(batch)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def committed(error: LogServerError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        found.when_committed(appended.last_offset, committed)
        await done
        return appended.base_offset

    async def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Slice:
        """As `Peers.read`."""
        found = self._broker.partition(topic, partition).read(offset, max_bytes)
        return found if isinstance(found, Slice) else await found

    def _readable(self, topic: str, number: int) -> Partition:
        partition = self._broker.partition(topic, number)
        if partition.unavailable is not None:
            raise partition.unavailable
        return partition

    async def write_markers(
        self, marker: TransactionMarker, places: Collection[Place]
    ) -> Mapping[Place, LogServerError | None]:
        """As `Peers.write_markers`."""
        outcomes: dict[Place, LogServerError | None] = {}
        waiting = len(places)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ended(place: Place, error: LogServerError | None) -> None:
            nonlocal waiting
            outcomes[place] = error
            waiting -= 1
            if not waiting and not done.done():
                done.set_result(None)

        for number, place in enumerate(sorted(places), 1):
            self._write_marker(marker, place, ended)
            if number % _MARKERS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        if waiting:
            await done
        return outcomes

    def _write_marker(self, marker: TransactionMarker, place: Place, ended: Ended) -> None:
        end = EndTransactionMarker(
            ControlType.COMMIT if marker.is_commit else ControlType.ABORT, marker.coordinator_epoch
        )
        try:
            partition = self._broker.partition(*place)
            appended = partition.append_marker(
                marker.producer_id, marker.producer_epoch, end, marker.transaction_version
            )
        except LogServerError as error:
            ended(place, error)
        else:
            partition.when_committed(appended.last_offset, lambda error: ended(place, error))
