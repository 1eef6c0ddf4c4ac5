"""A stopped Apache Kafka broker's data directories: whose they are, which logs they hold, of which topics."""

from __future__ import annotations

import fcntl
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from logserver_segments.checkpoints import (
    LOG_STARTS,
    RECOVERY_POINTS,
    CheckpointDamaged,
    TopicPartition,
    parse_offsets,
)
from logserver_segments.data_directory.directory import CLEAN_SHUTDOWN
from logserver_segments.data_directory.meta import META, parse_properties
from logserver_segments.data_directory.names import directory_of, logs_in
from logserver_segments.data_directory.topic_id import read_topic_id

from logserver.broker.topics import INTERNAL_TOPICS
from logserver.cli.failures import CommandFailed
from logserver.cli.kafka_metadata import CLUSTER_METADATA, TOPIC, Cluster, MetadataUnreadable, read_cluster
from logserver.coordinator.formats.primitives import topic_id_bytes

if TYPE_CHECKING:
    from logserver_segments.seams import Disk, Random

_METADATA_LOG: Final = ("__cluster_metadata", 0)
_COMPACTED: Final = {"cleanup.policy": "compact"}


@dataclass
class SourceTopic:
    """A topic as it is to be here."""

    name: str
    topic_id: str
    partitions: int
    settings: dict[str, str]


@dataclass
class Source:
    """What is to be brought in."""

    paths: list[str]
    cluster_id: str | None = None
    topics: dict[str, SourceTopic] = field(default_factory=dict)
    logs: dict[TopicPartition, str] = field(default_factory=dict)
    """Directories of the logs."""
    start_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    end_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    """Where logs ended when the broker was stopped in order."""
    cluster: Cluster = field(default_factory=Cluster)
    warnings: list[str] = field(default_factory=list)


def open_source(paths: Sequence[str], stack: ExitStack, disk: Disk, random: Random) -> Source:
    """Looks at the data directories of one broker, which must be stopped.

    Args:
        stack: keeps the directories locked.

    Raises:
        CommandFailed: one of them is none, or in use.
        OSError: the disk refused.
    """
    source = Source(list(paths))
    for path in paths:
        _check(source, path, disk)
        _lock(path, stack)
    _read_metadata(source, disk)
    _find_logs(source, disk, random)
    return source


def _check(source: Source, path: str, disk: Disk) -> None:
    if not Path(path).is_dir():
        raise CommandFailed(f"There is no directory {path}.")
    if not disk.exists(f"{path}/{META}"):
        raise CommandFailed(f"{path} has no {META}, so it is not the data directory of a Kafka broker (its log.dirs).")
    properties = parse_properties(disk.read_file(f"{path}/{META}"))
    if "logserver.format" in properties:
        raise CommandFailed(f"{path} is a data directory of this server already: `logserver serve --data-dir {path}`.")
    found = properties.get("cluster.id")
    if source.cluster_id is not None and found != source.cluster_id:
        raise CommandFailed(f"{path} belongs to the cluster {found}, and {source.paths[0]} to {source.cluster_id}.")
    if found is None:
        source.warnings.append(f"{path}/{META} names no cluster.id, so a new one is made")
    source.cluster_id = found


def _lock(path: str, stack: ExitStack) -> None:
    """Takes the lock that a running broker has: one of POSIX, on the whole file (Kafka: `FileLock`)."""
    lock = Path(path) / ".lock"
    try:
        file = stack.enter_context(lock.open("r+b"))
    except OSError:
        # It was never started, or this is a copy that can't be written to.
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CommandFailed(f"{path} is in use: stop the Kafka broker first.") from None


def _read_metadata(source: Source, disk: Disk) -> None:
    there = [path for path in source.paths if disk.exists(f"{path}/{CLUSTER_METADATA}")]
    try:
        if not there:
            raise MetadataUnreadable(f"there is no {CLUSTER_METADATA} in {' or '.join(source.paths)}")
        source.cluster = read_cluster(f"{there[0]}/{CLUSTER_METADATA}", disk)
    except MetadataUnreadable as error:
        source.cluster = Cluster()
        source.warnings.append(
            f"Kafka's metadata can't be read ({error}), so topics get default settings and as many partitions as have "
            f"logs here; if something has to stay for longer than a week, set log.retention.ms from the first start on"
        )
        return
    for name, topic_id in source.cluster.topic_ids.items():
        settings = source.cluster.configs.get((TOPIC, name), {})
        source.topics[name] = SourceTopic(name, topic_id, source.cluster.partitions.get(topic_id, 0), dict(settings))
    for what, count in sorted(source.cluster.left_out.items()):
        source.warnings.append(f"{what} are not brought in ({count:,} records): this server has none")


def _find_logs(source: Source, disk: Disk, random: Random) -> None:
    is_known = bool(source.topics)
    found: dict[str, dict[int, str | None]] = defaultdict(dict)
    for path in source.paths:
        starts = _offsets(source, path, LOG_STARTS, "deleted records may come back", disk)
        ends = {}
        # Otherwise they may be those of a deleted topic whose name is in use again.
        if disk.exists(f"{path}/{CLEAN_SHUTDOWN}"):
            ends = _offsets(source, path, RECOVERY_POINTS, "records that are missing at an end are not noticed", disk)
        for key in logs_in(path, disk):
            directory = directory_of(path, key)
            if key == _METADATA_LOG:
                continue
            topic = source.topics.get(key[0])
            topic_id = read_topic_id(directory, disk)
            if topic_id is not None and not _is_topic_id(topic_id):
                source.warnings.append(f"{directory} names a topic id that is none: {topic_id!r}")
                topic_id = None
            if is_known and (topic is None or (topic_id is not None and topic_id != topic.topic_id)):
                source.warnings.append(f"{directory} is left out: it is the log of a topic that was deleted")
                continue
            if key in source.logs:
                raise CommandFailed(f"{key[0]}-{key[1]} is in {source.logs[key]} and in {directory}.")
            source.logs[key] = directory
            if starts.get(key):
                source.start_offsets[key] = starts[key]
            source.end_offsets[key] = ends.get(key, 0)
            found[key[0]][key[1]] = topic_id
    if not is_known:
        for name, numbers in found.items():
            source.topics[name] = _unknown_topic(source, name, numbers, random)
    for topic in source.topics.values():
        missing = [number for number in range(topic.partitions) if (topic.name, number) not in source.logs]
        if missing:
            source.warnings.append(
                f"{topic.name}: no log is here for partition {', '.join(map(str, missing))}, so it will be empty "
                f"(other directories of the broker can be named, too)"
            )


def _unknown_topic(source: Source, name: str, numbers: dict[int, str | None], random: Random) -> SourceTopic:
    """Returns a topic of which there is only what its directories say."""
    ids = {topic_id for topic_id in numbers.values() if topic_id is not None}
    if len(ids) > 1:
        source.warnings.append(f"{name}: its logs name several topic ids, {', '.join(sorted(ids))}; the first is taken")
    if not ids:
        from logserver_segments.data_directory.meta import random_id

        source.warnings.append(f"{name}: its logs name no topic id, so it gets a new one")
        ids = {random_id(random)}
    settings = dict(_COMPACTED) if name in INTERNAL_TOPICS else {}
    return SourceTopic(name, min(ids), max(numbers) + 1, settings)


def _is_topic_id(text: str) -> bool:
    try:
        topic_id_bytes(text)
    except ValueError:
        return False
    return True


def _offsets(source: Source, path: str, name: str, loss: str, disk: Disk) -> dict[TopicPartition, int]:
    if not disk.exists(f"{path}/{name}"):
        return {}
    try:
        return parse_offsets(disk.read_file(f"{path}/{name}"))
    except CheckpointDamaged as error:
        source.warnings.append(f"{path}/{name} can't be read ({error}): {loss}")
        return {}
