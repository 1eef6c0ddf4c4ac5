"""Reading what Apache Kafka keeps in `__cluster_metadata`: topics, settings, producer ids (KRaft, KIP-631).

A record's value is frame version, API key and version of the record as unsigned varints, then the record itself: the
schemas TopicRecord, PartitionRecord, ConfigRecord and so on of Kafka's metadata module. A snapshot,
`<offset>-<epoch>.checkpoint`, holds batches of the same records: everything before that offset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from logserver_records.codec import decode_batch
from logserver_records.errors import RecordError
from logserver_segments.verification.batches import Damaged, walk
from logserver_segments.verification.task import EVERYTHING

from logserver.coordinator.formats import CorruptCoordinatorRecord
from logserver.coordinator.formats.primitives import Reader

if TYPE_CHECKING:
    from logserver_segments.seams import Disk

CLUSTER_METADATA: Final = "__cluster_metadata-0"

BROKER, TOPIC, CLIENT_METRICS, GROUP = 4, 2, 16, 32
"""Types of what has settings (Kafka: `ConfigResource.Type`)."""

_SNAPSHOT: Final = re.compile(r"(\d{20})-(\d{10})\.checkpoint")
_SEGMENT: Final = re.compile(r"\d{20}\.log")
_FRAME_VERSION: Final = 1
_MAX_DECOMPRESSED: Final = 64 << 20
_BEGIN, _END, _ABORT = 23, 24, 25
_LEFT_OUT: Final = {
    10: "delegation tokens",
    11: "SCRAM credentials of users",
    14: "client quotas",
    18: "access control entries",
}
"""What this server does not have; told, not brought in."""


class MetadataUnreadable(Exception):
    """The metadata can't be read; the message says why."""


@dataclass
class Cluster:
    """What Kafka's metadata says."""

    topic_ids: dict[str, str] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)
    """By topic id: how many."""
    configs: dict[tuple[int, str], dict[str, str]] = field(default_factory=dict)
    """Settings by type and name of what has them."""
    next_producer_id: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Records of what this server does not have, by what that is."""


def read_cluster(directory: str, disk: Disk) -> Cluster:
    """Reads the newest snapshot in a directory and the log behind it.

    Raises:
        MetadataUnreadable: there is none, it is damaged, or of a version that is not known.
        OSError: the disk refused.
    """
    entries = {entry.name: entry.size for entry in disk.list(directory)}
    cluster = Cluster()
    applying = _Applying(cluster)
    start = 0
    snapshots = sorted(name for name in entries if _SNAPSHOT.fullmatch(name))
    if snapshots:
        newest = snapshots[-1]
        start = int(newest[:20])
        for _, value in _values(f"{directory}/{newest}", entries[newest], disk, is_last=False):
            applying.take(value)
    logs = sorted(name for name in entries if _SEGMENT.fullmatch(name))
    if not logs and not snapshots:
        raise MetadataUnreadable(f"{directory} holds neither a snapshot nor a log")
    if logs and int(logs[0][:20]) > start:
        raise MetadataUnreadable(f"{directory} lacks the records from offset {start} to {int(logs[0][:20]) - 1}")
    for name in logs:
        for offset, value in _values(f"{directory}/{name}", entries[name], disk, is_last=name == logs[-1]):
            if offset >= start:
                applying.take(value)
    return cluster


def _values(path: str, size: int, disk: Disk, *, is_last: bool) -> Iterator[tuple[int, bytes]]:
    """Yields (offset, value) of the data records of a file."""
    file = disk.open(path)
    for item in walk(file, size, next_offset=0, end_offset=EVERYTHING):
        if isinstance(item, Damaged):
            if is_last and item.end == size:
                # Torn by the end of the broker; never committed.
                return
            raise MetadataUnreadable(f"{path} is damaged at position {item.position}: {item.reason}")
        if item.header.is_control:
            continue
        try:
            batch = file.read(item.header.size, item.position)
            records = decode_batch(batch, max_decompressed_bytes=_MAX_DECOMPRESSED)
        except RecordError as error:
            raise MetadataUnreadable(f"{path}, position {item.position}: {error}") from error
        for record in records:
            if record.value:
                yield record.offset, record.value


class _Applying:
    """Applies records; those of a transaction when that ends."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._held: list[bytes] | None = None

    def take(self, value: bytes) -> None:
        try:
            reader, kind, version = _frame(value)
            if kind == _BEGIN:
                self._held = []
            elif kind in (_END, _ABORT):
                held, self._held = self._held or [], None
                for one in held if kind == _END else ():
                    self.take(one)
            elif self._held is not None:
                self._held.append(value)
            else:
                self._apply(reader, kind, version)
        except CorruptCoordinatorRecord as error:
            raise MetadataUnreadable(str(error)) from error

    def _apply(self, reader: Reader, kind: int, version: int) -> None:
        apply = _APPLIED.get(kind)
        if apply is not None:
            apply(self._cluster, reader, version)
        elif kind in _LEFT_OUT:
            self._cluster.left_out[_LEFT_OUT[kind]] += 1


def _frame(value: bytes) -> tuple[Reader, int, int]:
    reader = Reader(value, "record of the cluster's metadata")
    frame_version = reader.unsigned_varint("frame version")
    if frame_version != _FRAME_VERSION:
        raise reader.fault(f"frame version {frame_version} is not known here")
    return reader, reader.unsigned_varint("type"), reader.unsigned_varint("version")


def _topic(cluster: Cluster, reader: Reader, version: int) -> None:
    _need(version, 0, "TopicRecord")
    name = reader.compact_string("name")
    cluster.topic_ids[name] = reader.topic_id("topic id")


def _partition(cluster: Cluster, reader: Reader, version: int) -> None:
    # What later versions add is behind these two.
    number = reader.int32("partition")
    topic_id = reader.topic_id("topic id")
    cluster.partitions[topic_id] = max(cluster.partitions.get(topic_id, 0), number + 1)


def _remove_topic(cluster: Cluster, reader: Reader, version: int) -> None:
    _need(version, 0, "RemoveTopicRecord")
    topic_id = reader.topic_id("topic id")
    cluster.partitions.pop(topic_id, None)
    for name in [name for name, known in cluster.topic_ids.items() if known == topic_id]:
        del cluster.topic_ids[name]
        # Kafka forgets the settings with the topic.
        cluster.configs.pop((TOPIC, name), None)


def _config(cluster: Cluster, reader: Reader, version: int) -> None:
    _need(version, 0, "ConfigRecord")
    kind = reader.int8("type of resource")
    owner = reader.compact_string("name of resource")
    name = reader.compact_string("name")
    value = reader.compact_nullable_string("value")
    settings = cluster.configs.setdefault((kind, owner), {})
    if value is None:
        settings.pop(name, None)
    else:
        settings[name] = value


def _producer_ids(cluster: Cluster, reader: Reader, version: int) -> None:
    _need(version, 0, "ProducerIdsRecord")
    reader.int32("broker")
    reader.int64("broker epoch")
    cluster.next_producer_id = max(cluster.next_producer_id, reader.int64("next producer id"))


def _need(version: int, known: int, name: str) -> None:
    if version != known:
        raise MetadataUnreadable(f"version {version} of {name} is not known here")


_APPLIED: Final[dict[int, Callable[[Cluster, Reader, int], None]]] = {
    2: _topic,
    3: _partition,
    4: _config,
    9: _remove_topic,
    15: _producer_ids,
}
"""What is done with a record, by its type."""
