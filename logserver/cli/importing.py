"""Bringing a stopped Apache Kafka's data into a new data directory: what `logserver import-kafka` does.

Everything is made in a folder inside of the new directory and renamed into its place when it is whole,
`meta.properties` last: without that the server starts on no directory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from logserver_records.batch import read_header
from logserver_records.control import parse_marker
from logserver_segments.bring_in import BroughtIn, CannotBringIn, bring_in, size_bytes
from logserver_segments.checkpoints import LOG_STARTS, RECOVERY_POINTS, TopicPartition, format_offsets
from logserver_segments.committer import ImmediateCommitter
from logserver_segments.data_directory import DataDirectory
from logserver_segments.data_directory.directory import CLEAN_SHUTDOWN
from logserver_segments.data_directory.meta import LOCK, META, load_meta
from logserver_segments.data_directory.names import directory_of, key_of
from logserver_segments.disk import OsDisk, ReadOnlyDisk
from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers
from logserver_segments.verification.findings import DropRecords, Replace
from logserver_segments.verification.records import read_log
from logserver_segments.verification.task import side_file

from logserver.broker.configs import CONFIGS_PREFIX, ConfigKind
from logserver.broker.dynamic_settings import DYNAMIC_SETTINGS
from logserver.broker.producer_ids import BLOCK_SIZE, NEXT_BLOCK
from logserver.broker.topics import METADATA_CONFIG, METADATA_TOPIC, METADATA_TOPIC_ID, TopicRecord
from logserver.cli.checking import check_directories
from logserver.cli.failures import CommandFailed, disk_refused, sentence
from logserver.cli.internal_logs import TRANSACTION_STATE
from logserver.cli.kafka_directory import Source, SourceTopic, open_source
from logserver.cli.kafka_metadata import BROKER, CLIENT_METRICS, GROUP
from logserver.cli.progress import progress_bar
from logserver.cli.spreading import SMALL_BYTES, default_jobs, spread
from logserver.coordinator.formats import FormatError, OffsetCommitKey
from logserver.coordinator.formats import decode as decode_group_record
from logserver.coordinator.routing import CONSUMER_OFFSETS
from logserver.metadata import MetadataStore, Put
from logserver.metadata.log_store import LogMetadataStore
from logserver.settings import (
    CLIENT_METRICS_DEFINITIONS,
    GROUP_DEFINITIONS,
    SERVER_DEFINITIONS,
    TOPIC_DEFINITIONS,
    Definition,
    SettingsError,
    parse_value,
)

_FOLDER: Final = "import.partial"
_MOST_OPERATIONS: Final = 100
_FREE_BYTES: Final = 64 << 20
_KINDS: Final = {
    BROKER: (ConfigKind.BROKER, {name: SERVER_DEFINITIONS[name] for name in DYNAMIC_SETTINGS}),
    GROUP: (ConfigKind.GROUP, GROUP_DEFINITIONS),
    CLIENT_METRICS: (ConfigKind.CLIENT_METRICS, CLIENT_METRICS_DEFINITIONS),
}


class _Copy(NamedTuple):
    """A log to copy; can be pickled."""

    key: TopicPartition
    source: str
    target: str
    topic_id: str
    size_bytes: int


@dataclass
class TopicReport:
    """A topic that was brought in."""

    name: str
    topic_id: str
    partitions: int
    settings: dict[str, str]
    records: int = 0
    bytes_copied: int = 0
    end_offsets: list[int] = field(default_factory=list)


@dataclass
class Report:
    """What was brought in."""

    directory: str
    cluster_id: str
    node_id: int
    topics: list[TopicReport]
    records: int
    bytes_copied: int
    groups: int
    committed_offsets: int
    transactional_ids: int
    warnings: list[str]
    seconds: float = 0.0


def import_kafka(paths: Sequence[str], target: str, *, node_id: int, jobs: int | None) -> Report:
    """Brings a stopped broker's topics, groups and settings into a new data directory.

    Args:
        paths: the broker's data directories, which stay as they are.
        target: is made, or empty.
        node_id: of the server that will use it.
        jobs: how many processes; None: as many as are worth it.

    Raises:
        CommandFailed: it can't be done; nothing is in the target that a server would take for its data.
    """
    started = time.monotonic()
    disk = OsDisk()
    try:
        with ExitStack() as stack:
            _check_target(target, paths)
            source = open_source(paths, stack, ReadOnlyDisk(), SystemRandom())
            report = _Import(source, target, node_id, disk).run(jobs)
    except CannotBringIn as error:
        raise CommandFailed(sentence(str(error))) from error
    except OSError as error:
        raise CommandFailed(disk_refused(error)) from error
    report.seconds = time.monotonic() - started
    return report


def _check_target(target: str, sources: Sequence[str]) -> None:
    path = Path(target)
    for source in sources:
        if path.resolve().is_relative_to(Path(source).resolve()):
            raise CommandFailed(f"{target} is in {source}, which is only read; name another directory.")
    names = {entry.name for entry in path.iterdir()} - {"lost+found"} if path.is_dir() else set()
    if path.exists() and not path.is_dir():
        raise CommandFailed(f"{target} is no directory.")
    if _FOLDER in names:
        raise CommandFailed(
            f"{target} holds what an import that did not end has left; remove it, and begin again with an empty one."
        )
    if names:
        raise CommandFailed(f"{target} is not empty (it holds {min(names)!r}); name an empty or a new directory.")


def copy_one(task: _Copy) -> BroughtIn:
    """Copies one log, in whatever process."""
    return bring_in(task.source, task.target, task.topic_id, OsDisk(), ReadOnlyDisk())


class _Import:
    def __init__(self, source: Source, target: str, node_id: int, disk: OsDisk) -> None:
        self._source = source
        self._target = target
        self._folder = f"{target}/{_FOLDER}"
        self._node_id = node_id
        self._disk = disk
        self._warnings = source.warnings
        self._copied: dict[TopicPartition, BroughtIn] = {}

    def run(self, jobs: int | None) -> Report:
        disk, folder = self._disk, self._folder
        disk.make_directory(folder)
        meta = load_meta(folder, self._node_id, disk, SystemRandom(), self._source.cluster_id)
        self._copy(jobs)
        self._keep_ends()
        topics = [self._topic(topic) for topic in sorted(self._source.topics.values(), key=lambda topic: topic.name)]
        self._write_checkpoints()
        self._write_metadata(topics)
        self._check({topic.name: topic for topic in topics})
        groups, offsets = self._count_groups()
        report = Report(
            self._target,
            meta.cluster_id,
            self._node_id,
            topics,
            sum(one.records for one in self._copied.values()),
            sum(one.bytes_copied for one in self._copied.values()),
            groups,
            offsets,
            self._count_transactional_ids(),
            self._warnings,
        )
        self._move_into_place()
        return report

    # Logs

    def _copy(self, jobs: int | None) -> None:
        topics, disk = self._source.topics, self._disk
        tasks = [
            _Copy(
                key,
                directory,
                directory_of(self._folder, key),
                topics[key[0]].topic_id,
                size_bytes(directory, disk),
            )
            for key, directory in self._source.logs.items()
        ]
        tasks.sort(key=lambda task: task.size_bytes, reverse=True)
        total = sum(task.size_bytes for task in tasks)
        free, _ = disk.space(self._target)
        if total + _FREE_BYTES > free:
            raise CommandFailed(f"{self._target} has {free:,} bytes free; the logs take {total:,}.")
        if jobs is None:
            jobs = default_jobs() if total > SMALL_BYTES else 1
        with progress_bar("Copying", total) as progress:
            for task, copied in spread(copy_one, tasks, jobs):
                self._copied[task.key] = copied
                self._warnings += copied.problems
                progress.update(task.size_bytes)
        for topic in topics.values():
            for number in range(topic.partitions):
                if (topic.name, number) not in self._copied:
                    # What the server would make itself, had it been there.
                    target = directory_of(self._folder, (topic.name, number))
                    self._copied[topic.name, number] = bring_in(self._empty(), target, topic.topic_id, disk, disk)

    def _empty(self) -> str:
        path = f"{self._folder}/nothing.tmp"
        self._disk.make_directory(path)
        return path

    def _keep_ends(self) -> None:
        """Has logs end where Kafka's did: offsets whose records are gone are not given out again."""
        for key, end in self._source.end_offsets.items():
            copied = self._copied[key]
            if end > copied.end_offset:
                self._warnings.append(
                    f"{self._source.logs[key]}: Kafka stopped with records up to offset {end - 1}, and those from "
                    f"{copied.end_offset} on are lost"
                )
                self._copied[key] = copied._replace(end_offset=end)

    def _topic(self, topic: SourceTopic) -> TopicReport:
        definitions = dict(TOPIC_DEFINITIONS)
        settings = self._settings(topic.settings, definitions, f"topic {topic.name}")
        copied = [self._copied[topic.name, number] for number in range(topic.partitions)]
        return TopicReport(
            topic.name,
            topic.topic_id,
            topic.partitions,
            settings,
            sum(one.records for one in copied),
            sum(one.bytes_copied for one in copied),
            [one.end_offset for one in copied],
        )

    def _settings(self, given: dict[str, str], known: dict[str, Definition], whose: str) -> dict[str, str]:
        """Returns those of the settings that this server has."""
        taken = {}
        for name, text in sorted(given.items()):
            try:
                parse_value(known[name], text)
            except KeyError:
                self._warnings.append(f"{whose}: {name}={text} is left out, this server has no such setting there")
            except SettingsError as error:
                self._warnings.append(f"{whose}: {name}={text} is left out: {error.message}")
            else:
                taken[name] = text
        return taken

    def _write_checkpoints(self) -> None:
        ends = {key: one.end_offset for key, one in self._copied.items()}
        starts = {key: min(offset, ends[key]) for key, offset in self._source.start_offsets.items()}
        disk, folder = self._disk, self._folder
        if disk.exists(f"{folder}/nothing.tmp"):
            disk.remove_tree(f"{folder}/nothing.tmp")
        disk.sync_filesystem(folder)
        disk.write_file(f"{folder}/{RECOVERY_POINTS}", format_offsets(ends), durable=True)
        disk.write_file(f"{folder}/{LOG_STARTS}", format_offsets(starts), durable=True)
        disk.write_file(f"{folder}/{CLEAN_SHUTDOWN}", b'{"version": "0", "broker_epoch": "-1"}', durable=True)

    # Metadata

    def _write_metadata(self, topics: Sequence[TopicReport]) -> None:
        import asyncio

        asyncio.run(self._write_store(topics))

    async def _write_store(self, topics: Sequence[TopicReport]) -> None:
        disk, clock = self._disk, SystemClock()
        workers = ThreadWorkers(1)
        directory = DataDirectory(
            self._folder, self._node_id, disk=disk, clock=clock, random=SystemRandom(), workers=workers
        )
        try:
            directory.start(ImmediateCommitter(disk))
            log = directory.open(METADATA_TOPIC, 0, METADATA_TOPIC_ID, METADATA_CONFIG)
            store = LogMetadataStore(log, 0, clock)
            await store.load()
            await self._put_all(store, topics)
            directory.close()
        finally:
            workers.close()

    async def _put_all(self, store: MetadataStore, topics: Sequence[TopicReport]) -> None:
        records = [TopicRecord(topic.name, topic.topic_id, topic.partitions, topic.settings) for topic in topics]
        puts = [Put(record.key, record.to_value()) for record in records]
        puts += self._configs()
        # No leader epoch and no producer id that Kafka has given out is given out again.
        epoch = max((one.leader_epoch for one in self._copied.values()), default=-1) + 1
        puts.append(Put(f"/nodes/{self._node_id}/leader_epoch".encode(), str(epoch).encode()))
        seen = max((one.producer_id for one in self._copied.values()), default=-1) + 1
        free = max(seen, self._source.cluster.next_producer_id)
        puts.append(Put(NEXT_BLOCK, str(-(-free // BLOCK_SIZE) * BLOCK_SIZE).encode()))
        for start in range(0, len(puts), _MOST_OPERATIONS):
            await store.txn((), puts[start : start + _MOST_OPERATIONS])

    def _configs(self) -> list[Put]:
        puts = []
        for (kind, name), given in sorted(self._source.cluster.configs.items()):
            if kind not in _KINDS:
                continue
            ours, known = _KINDS[kind]
            whose = f"{ours} {name}" if name else "all brokers"
            settings = self._settings(given, dict(known), whose)
            if not settings:
                continue
            # A broker's own settings become those of the node that takes its place.
            owner = str(self._node_id) if kind == BROKER and name else name
            value = json.dumps({"settings": settings}, sort_keys=True, separators=(",", ":")).encode()
            puts.append(Put(CONFIGS_PREFIX + f"{ours}/{owner}".encode(), value))
        return puts

    # The end

    def _check(self, topics: dict[str, TopicReport]) -> None:
        """Checks the new directory, and makes anew what Kafka's files say otherwise than the batches."""
        checked = check_directories([self._folder], mend=True, jobs=None, default_cleanup=("delete",))
        for finding in checked.findings:
            # Where it will be.
            path = finding.path.replace(self._folder, self._target, 1)
            fix = finding.fix
            if finding in checked.left:
                self._warnings.append(f"{path}: {finding.problem}")
            elif isinstance(fix, Replace | DropRecords) and fix.end > fix.start:
                kept = side_file(path, fix.start)
                self._warnings.append(f"{path}, position {fix.start}: {finding.problem}; left out, and kept in {kept}")
                key = key_of(Path(fix.path).parent.name)
                assert key is not None
                lost = self._lost(fix)
                self._copied[key] = self._copied[key]._replace(records=self._copied[key].records - lost)
                topics[key[0]].records -= lost

    def _lost(self, fix: Replace | DropRecords) -> int:
        """Returns how many records repair has taken out of a log."""
        if isinstance(fix, DropRecords):
            return len(fix.offsets)
        return read_header(self._disk.read_file(side_file(fix.path, fix.start))).record_count

    def _count_groups(self) -> tuple[int, int]:
        """Returns how many groups have committed offsets or members, and how many offsets there are."""
        groups, offsets = set(), set()
        for key in self._latest(CONSUMER_OFFSETS):
            try:
                decoded, _ = decode_group_record(key, None)
            except FormatError:
                continue
            groups.add(decoded[0])
            if isinstance(decoded, OffsetCommitKey):
                offsets.add(decoded)
        return len(groups), len(offsets)

    def _count_transactional_ids(self) -> int:
        return len(self._latest(TRANSACTION_STATE))

    def _latest(self, topic: str) -> set[bytes]:
        """Returns the keys in an internal topic that have a value."""
        latest: dict[bytes, bool] = {}
        for key in self._copied:
            if key[0] != topic:
                continue
            pending: dict[int, dict[bytes, bool]] = {}
            for header, records in read_log(directory_of(self._folder, key), self._disk):
                if header.is_control:
                    marker = parse_marker(records[0]) if records else None
                    ended = pending.pop(header.producer_id, {})
                    latest.update(ended if marker is not None and marker.is_commit else {})
                    continue
                into = pending.setdefault(header.producer_id, {}) if header.is_transactional else latest
                into.update((record.key, record.value is not None) for record in records if record.key is not None)
        return {key for key, is_there in latest.items() if is_there}

    def _move_into_place(self) -> None:
        disk = self._disk
        disk.sync_filesystem(self._folder)
        names = sorted(entry.name for entry in disk.list(self._folder) if entry.name not in (META, LOCK))
        for name in names:
            disk.rename(f"{self._folder}/{name}", f"{self._target}/{name}")
        disk.sync_directory(self._target)
        disk.rename(f"{self._folder}/{META}", f"{self._target}/{META}")
        disk.remove_tree(self._folder)
        disk.sync_directory(self._target)
