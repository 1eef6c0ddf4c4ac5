"""The values that go in and out of the client."""

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, Literal, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Headers = Sequence[tuple[str, bytes | None]]
"""Headers of a record in their order; a name may come more than once."""

Acks = Literal["all", 0, 1]
"""When a record counts as delivered: durable ("all"), appended by the leader (1), sent (0)."""


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Record(NamedTuple, Generic[K, V]):
    """One record as read.

    `key` and `value` are bytes unless the reader has deserialisers; None is a null key, and a null value (a tombstone
    on a compacted topic). `timestamp_ms` is in milliseconds since the Unix epoch.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: K | None
    value: V | None
    headers: Headers


BytesRecord = Record[bytes, bytes]
"""A record of a reader without deserialisers."""


class RecordMetadata(NamedTuple):
    """Where a record was stored.

    `offset` is -1 if it isn't known: with acks=0, and where the server recognises a very old batch as a duplicate.
    `timestamp_ms` is the record's own, or the broker's append time in a topic with LogAppendTime.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Timestamp(NamedTuple):
    """A place in a partition by time: milliseconds since the Unix epoch. A plain int means an offset."""

    ms: int


class OffsetAndTimestamp(NamedTuple):
    """An offset and the timestamp of the record there, -1 where no timestamp was asked for."""

    offset: int
    timestamp_ms: int


class OffsetAndMetadata(NamedTuple):
    """What a group has committed for a partition, or is to commit.

    `offset` is that of the next record to work on: one behind the last that is done. `leader_epoch` is that of the last
    record that is done, None if it isn't known. `metadata` is a text of the user's own.
    """

    offset: int
    leader_epoch: int | None = None
    metadata: str = ""


class GroupMetadata(NamedTuple):
    """Who a consumer is in its group; the epoch is 0 before it has become a member, -1 where it never will be one."""

    group_id: str
    member_id: str
    member_epoch: int
    group_instance_id: str | None


class Subscription(NamedTuple):
    """What a member reads: topics by name, and those whose whole name matches a regular expression (RE2)."""

    topics: tuple[str, ...] = ()
    pattern: str | None = None


Position = Literal["earliest", "latest"] | int | datetime | Timestamp
"""A place to read from.

"earliest" is the log start offset, "latest" the high watermark (behind the last acknowledged record), an int an offset,
a `Timestamp` or aware datetime the first record at or after that time (the end of the log if there is none).
"""

PartitionLike = TopicPartition | tuple[str, int]
"""A `TopicPartition`, or a plain tuple of the same."""
