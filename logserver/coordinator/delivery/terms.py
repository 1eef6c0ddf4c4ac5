"""On what terms groups work: those of declared queues, and those of Kafka's share groups."""

from collections.abc import Awaitable, Callable
from typing import Final

from logserver_segments.seams import Clock

from logserver.broker.partition import Partition
from logserver.coordinator.delivery.catalog import QueueCatalog, QueueRecord
from logserver.coordinator.delivery.places import Terms
from logserver.coordinator.delivery.policy import Limit, Policy
from logserver.coordinator.share.limits import ShareLimits
from logserver.errors import ErrorCode, LogServerError
from logserver.settings import ShareReset

SEPARATOR: Final = "/"
"""Between topic and group in the name of a queue that was not declared; topics have none in their names."""


class QueueNames:
    """Names of queues, and what they mean.

    A declared queue NAME is the share group NAME on the topic NAME; any other share group on a topic is TOPIC/GROUP.
    """

    def __init__(self, catalog: QueueCatalog, limits: ShareLimits, clock: Clock) -> None:
        self._catalog = catalog
        self.limits = limits
        self._clock = clock

    def resolve(self, name: str) -> tuple[str, str]:
        """Returns group and topic of a queue.

        Raises:
            LogServerError: RESOURCE_NOT_FOUND.
        """
        record = self._catalog.find(name)
        if record is not None:
            return record.name, record.topic
        topic, separator, group_id = name.partition(SEPARATOR)
        if separator and topic and group_id:
            return group_id, topic
        raise LogServerError(
            ErrorCode.resource_not_found,
            f"there is no queue {name[:100]!r}; declare it, or name a share group on a topic as TOPIC/GROUP",
        )

    def name(self, group_id: str, topic: str) -> str:
        """Returns what the queue of a group on a topic is called."""
        return group_id if self.declared(group_id, topic) is not None else f"{topic}{SEPARATOR}{group_id}"

    def declared(self, group_id: str, topic: str) -> QueueRecord | None:
        """Returns the declared queue that a group on a topic is, None if it is none."""
        record = self._catalog.find(group_id)
        return record if record is not None and any(source.topic == topic for source in record.sources) else None

    def terms(self, group_id: str, topic: str) -> Terms:
        """Returns the terms of a group on a topic."""
        name = self.name(group_id, topic)
        record = self.declared(group_id, topic)
        if record is not None:
            index, source = next((at, found) for at, found in enumerate(record.sources) if found.topic == topic)
            start = _from_offset(source.from_offset)
            return Terms(name, record.policy, True, start, source.until_offset, index, True)
        limits = self.limits
        policy = Policy(
            Limit(limits.delivery_count_limit_of(group_id)),
            lapse_is_failure=False,
            max_unsettled=limits.partition_max_record_locks_of(group_id),
        )
        reset = _from_reset(limits.reset_of(group_id), self._clock)
        return Terms(name, policy, limits.reads_committed_of(group_id), reset, None, 0, False)


def _from_offset(offset: int | None) -> Callable[[Partition], Awaitable[int]]:
    async def start(partition: Partition) -> int:
        return max(partition.log_start_offset, offset or 0)

    return start


def _from_reset(reset: ShareReset, clock: Clock) -> Callable[[Partition], Awaitable[int]]:
    """Source: KIP-932, `share.auto.offset.reset`."""

    async def start(partition: Partition) -> int:
        match reset.kind:
            case "earliest":
                return partition.log_start_offset
            case "latest":
                return partition.high_watermark
        found = await partition.offset_for_timestamp(clock.now_ms() - reset.duration_ms)
        return partition.high_watermark if found is None else found.offset

    return start
