"""What the admin client answers: topics, the cluster, a server. The fields mean what the gRPC contract says."""

from dataclasses import dataclass

from logserver_client.errors import LogServerError


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
