"""What the admin client answers: topics, the cluster, a server, groups, transactions.

The fields mean what the gRPC contract says.
"""

from dataclasses import dataclass

from logserver_client.errors import LogServerError
from logserver_client.types import Subscription, TopicPartition


@dataclass(frozen=True, slots=True)
class TopicSetting:
    """A setting of a topic; `overridden` if the topic itself sets it."""

    name: str
    value: str
    default_value: str
    overridden: bool
    documentation: str


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: who leads it (node id, -1 for nobody) and what is in it.

    Records are at the offsets from `log_start_offset` (inclusive) to `log_end_offset` (exclusive); those below
    `high_watermark` can be read. `error` says why it can't be used, if it can't.
    """

    partition: int
    leader: int
    leader_epoch: int
    log_start_offset: int
    high_watermark: int
    log_end_offset: int
    size_bytes: int
    error: LogServerError | None


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic with its partitions, in their order, and all its settings, also those at their default."""

    name: str
    topic_id: str
    internal: bool
    partitions: tuple[Partition, ...]
    settings: tuple[TopicSetting, ...]


@dataclass(frozen=True, slots=True)
class TopicSummary:
    """A topic in a list; `partitions` is their number."""

    name: str
    topic_id: str
    partitions: int
    internal: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """HOST:PORT of one door ("grpc", "kafka") of a node."""

    door: str
    address: str


@dataclass(frozen=True, slots=True)
class Node:
    """A server of the cluster."""

    node_id: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The servers that hold the topics; the controller changes metadata."""

    cluster_id: str
    nodes: tuple[Node, ...]
    controller_id: int


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """A data directory: bytes of all logs in it, and of the file system it is on."""

    path: str
    size_bytes: int
    total_bytes: int
    free_bytes: int
    error: LogServerError | None


@dataclass(frozen=True, slots=True)
class Status:
    """A server as it runs. `rss_anon_bytes` is its resident memory without mapped files."""

    version: str
    node_id: int
    cluster_id: str
    start_time_ms: int
    doors: tuple[Endpoint, ...]
    topics: int
    partitions: int
    offline_partitions: int
    log_directories: tuple[LogDirectory, ...]
    rss_anon_bytes: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a server and where its value comes from: default, file, environment or command line."""

    name: str
    value: str
    default_value: str
    source: str
    documentation: str


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A group in a list; `members` is their number.

    `type` is "consumer", "share", or "classic" for a group that has offsets only or members of Kafka's older protocol.
    `state` is "empty", "assigning", "reconciling" or "stable".
    """

    group_id: str
    type: str
    state: str
    members: int


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member of a group, what it owns (`assigned`) and what it is to own (`target`).

    `state` is "stable", "revoking", "waiting" (for partitions that others have not given up yet) or "away" (a static
    member that has left for a while); of the classic protocol it is "stable" or "rebalancing". `session_left_ms` is how
    long until it counts as gone, unless it is heard of.
    """

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    member_epoch: int
    state: str
    subscription: Subscription
    assigned: tuple[TopicPartition, ...]
    target: tuple[TopicPartition, ...]
    session_left_ms: int


@dataclass(frozen=True, slots=True)
class GroupOffset:
    """Where a group stands in a partition that it has committed, or that a member owns.

    `lag` counts the records from the committed offset (the log start offset, if that is larger) to the high watermark;
    None without a committed offset. `error` says why log start offset, high watermark and lag are not known.
    """

    topic: str
    partition: int
    committed_offset: int | None
    leader_epoch: int | None
    metadata: str
    commit_timestamp_ms: int | None
    log_start_offset: int
    high_watermark: int
    lag: int | None
    member_id: str | None
    error: LogServerError | None


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group. `offsets` are ordered by topic and partition; epochs are those of KIP-848."""

    group_id: str
    type: str
    state: str
    group_epoch: int
    assignment_epoch: int
    assignor: str
    members: tuple[GroupMember, ...]
    offsets: tuple[GroupOffset, ...]

    @property
    def lag(self) -> int:
        """Records that the group has not worked on, as far as that is known."""
        return sum(offset.lag for offset in self.offsets if offset.lag is not None)


@dataclass(frozen=True, slots=True)
class ResetOffset:
    """What a reset did to a partition, or would do.

    `previous_offset` is None if nothing was committed. `clamped` is true if what was asked for lies outside of the log:
    `offset` is then the nearest one inside. With an `error` nothing was changed.
    """

    topic: str
    partition: int
    previous_offset: int | None
    offset: int
    clamped: bool
    error: LogServerError | None


@dataclass(frozen=True, slots=True)
class TransactionSummary:
    """A transactional id, and how far its transaction is.

    `state` is as Kafka names it: "Ongoing" while a transaction is open, "PrepareCommit" and "PrepareAbort" once that is
    decided and not yet in all partitions, "CompleteCommit" and "CompleteAbort" then, "Empty" if there was none.
    """

    transactional_id: str
    producer_id: int
    state: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transactional id with its transaction.

    `start_timestamp_ms` says when the transaction began; None if none has. `partitions` are those of an open
    transaction; of one that is being ended those that do not have its end yet. Offsets of groups are in partitions of
    `__consumer_offsets`.
    """

    transactional_id: str
    state: str
    producer_id: int
    producer_epoch: int
    timeout_ms: int
    start_timestamp_ms: int | None
    partitions: tuple[TopicPartition, ...]
