"""A data directory: who may use it, whose it is, and the logs in it.

Layout as Kafka's: a directory `<topic>-<partition>` a log, and beside them `meta.properties`, `.lock`,
`.kafka_cleanshutdown` and the two offset checkpoints. `meta.properties` carries `logserver.format=1`, without which
the directory is not ours.
"""

import base64
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple

from logserver_records.errors import RecordError

from logserver_segments import cleaner
from logserver_segments.checkpoints import (
    LOG_STARTS,
    RECOVERY_POINTS,
    CheckpointDamaged,
    TopicPartition,
    format_offsets,
    parse_offsets,
)
from logserver_segments.committer import Committer, Loss, LossReason
from logserver_segments.config import LogConfig
from logserver_segments.errors import DirectoryInUse, ForeignDirectory, StorageError
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.pool import Pool
from logserver_segments.recovery import open_log
from logserver_segments.scan import ScanStopped
from logserver_segments.seams import Clock, Disk, File, Lock, Mapping, Random, Workers
from logserver_segments.segment import Resources

META: Final = "meta.properties"
LOCK: Final = ".lock"
CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"
PARTITION_METADATA: Final = "partition.metadata"
DELETE_SUFFIX: Final = "-delete"
STRAY_SUFFIX: Final = "-stray"
FORMAT: Final = 1

_log = get_logger("logserver.segments")


class Meta(NamedTuple):
    """Whose data directory it is."""

    cluster_id: str
    node_id: int
    directory_id: str


def random_id(random: Random) -> str:
    """Returns 16 random bytes as Kafka prints ids: URL-safe base64 without padding, never beginning with `-`."""
    while True:
        text = base64.urlsafe_b64encode(random.randbytes(16)).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


class _Promise:
    """A recovery point that holds once everything written when it was made is durable."""

    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset


class DataDirectory:
    """The logs in one directory. All methods belong to one thread, except where a `Workers` runs a part.

    Args:
        path: the directory; made if it is not there.
        node_id: of this server; must be the one that made the directory.
        open_files: how many segment files may be open at once.
        mapped_files: how many files may be mapped at once.

    Raises:
        DirectoryInUse: another process has it open.
        ForeignDirectory: it holds something else than this server's data.
        OSError: the disk refused.
    """

    def __init__(
        self,
        path: str,
        node_id: int,
        *,
        disk: Disk,
        clock: Clock,
        random: Random,
        workers: Workers,
        open_files: int = 10_000,
        mapped_files: int = 10_000,
    ) -> None:
        self.path = path
        self._disk = disk
        self._clock = clock
        self._random = random
        self._workers = workers
        self.resources = Resources(disk, Pool[File](open_files), Pool[Mapping](mapped_files))
        self._logs: dict[TopicPartition, Log] = {}
        self._committer: Committer | None = None
        self._cleaned_to: dict[TopicPartition, int] = {}
        # Logs whose recovery point on disk is not their end: closed while in use, or not to be opened.
        self._unsettled: set[TopicPartition] = set()
        self._all_opened = False
        # Since this object was made; what is on disk of these is not as the last stop left it.
        self._opened: set[TopicPartition] = set()
        # Where logs ended that are offline and could not be cut there.
        self._lost_ends: dict[TopicPartition, int] = {}
        # The checkpoint files, and what goes into them, are written by a worker too.
        self._checkpoint_lock = threading.Lock()
        self._promised: dict[TopicPartition, _Promise] = {}
        self._written_points = self._written_starts = b""
        # Whether they may still hold something of a log that was deleted, which is not for the next of its name.
        self._is_outdated = False
        self._lock = self._claim()
        try:
            self.meta = self._load_meta(node_id)
            self.was_clean = disk.exists(f"{path}/{CLEAN_SHUTDOWN}")
            self._recovery_points = self._load_offsets(RECOVERY_POINTS)
            self._start_offsets = self._load_offsets(LOG_STARTS)
            # From here on an end without `close` is an unclean one.
            if self.was_clean:
                disk.remove(f"{path}/{CLEAN_SHUTDOWN}")
                disk.sync_directory(path)
            else:
                # What an ended process wrote and did not flush can be read, and a power cut could still take it back;
                # so it could a directory that has just been made, with those above it.
                disk.sync_filesystem(path)
            self._remove_deleted()
        except BaseException:
            self._lock.release()
            raise

    def _claim(self) -> Lock:
        disk, path = self._disk, self.path
        if disk.exists(path):
            self._refuse_foreign()
        disk.make_directory(path)
        try:
            return disk.lock(f"{path}/{LOCK}")
        except BlockingIOError:
            raise DirectoryInUse(
                f"the data directory {path} is in use by another server; stop that one or name another directory"
            ) from None

    def _refuse_foreign(self) -> None:
        """Before anything is written there: is the directory ours, or empty?"""
        own = {LOCK, "lost+found", META + ".tmp"}
        names = {entry.name for entry in self._disk.list(self.path)} - own
        if META in names:
            properties = _parse_properties(self._disk.read_file(f"{self.path}/{META}"))
            found = properties.get("logserver.format")
            if found is None:
                raise ForeignDirectory(
                    f"{self.path} is the data directory of an Apache Kafka broker (its {META} has no "
                    f"logserver.format); name another directory, this one is left as it is"
                )
            if found != str(FORMAT):
                raise ForeignDirectory(
                    f"{self.path} has format {found} of this server's data, this version knows format {FORMAT}; "
                    f"use a version that knows it"
                )
        elif names:
            raise ForeignDirectory(
                f"{self.path} is not empty and has no {META}, so it is not a data directory of this server "
                f"(it holds {min(names)!r}); name an empty or a new directory"
            )

    def _load_meta(self, node_id: int) -> Meta:
        disk, path = self._disk, f"{self.path}/{META}"
        if not disk.exists(path):
            meta = Meta(random_id(self._random), node_id, random_id(self._random))
            lines = (
                f"logserver.format={FORMAT}",
                "version=1",
                f"cluster.id={meta.cluster_id}",
                f"node.id={meta.node_id}",
                f"directory.id={meta.directory_id}",
                "",
            )
            disk.write_file(path, "\n".join(lines).encode("ascii"), durable=True)
            return meta
        properties = _parse_properties(disk.read_file(path))
        try:
            meta = Meta(properties["cluster.id"], int(properties["node.id"]), properties["directory.id"])
        except (KeyError, ValueError) as error:
            raise ForeignDirectory(f"{path} is damaged: {error}") from None
        if meta.node_id != node_id:
            raise ForeignDirectory(
                f"{self.path} belongs to node.id={meta.node_id}, this server has node.id={node_id}; "
                f"set node.id={meta.node_id} or name another directory"
            )
        return meta

    def _load_offsets(self, name: str) -> dict[TopicPartition, int]:
        path = f"{self.path}/{name}"
        if not self._disk.exists(path):
            return {}
        try:
            return parse_offsets(self._disk.read_file(path))
        except CheckpointDamaged as error:
            _log.warning("checkpoint not used, logs are checked from their start", path=path, reason=str(error))
            return {}

    def _remove_deleted(self) -> None:
        for entry in self._disk.list(self.path):
            if entry.is_directory and entry.name.endswith(DELETE_SUFFIX):
                self._disk.remove_tree(f"{self.path}/{entry.name}")

    # Logs

    def start(self, committer: Committer) -> None:
        """Names what makes the logs durable; before the first `open`."""
        self._committer = committer

    def __iter__(self) -> Iterator[tuple[TopicPartition, Log]]:
        return iter(self._logs.items())

    def __len__(self) -> int:
        return len(self._logs)

    def log_directory(self, topic: str, partition: int) -> str:
        """Returns the path of a log's directory."""
        return f"{self.path}/{topic}-{partition}"

    def open(self, topic: str, partition: int, topic_id: str, config: LogConfig) -> Log:
        """Opens a log, or makes an empty one if there is none.

        Raises:
            ForeignDirectory: the directory holds a log of another topic of the same name.
            OSError: the disk refused.
        """
        key = (topic, partition)
        assert key not in self._logs and self._committer is not None
        directory = self.log_directory(topic, partition)
        disk = self._disk
        is_new = not disk.exists(directory)
        if is_new:
            self._forget(key)
            self._settle()
            disk.make_directory(directory)
            disk.write_file(f"{directory}/{PARTITION_METADATA}", _partition_metadata(topic_id), durable=False)
        else:
            self._check_topic_id(directory, topic_id)
        again = key in self._opened
        if again:
            # What was written and not flushed when it was closed counts from now on.
            disk.sync_filesystem(self.path)
            with self._checkpoint_lock:
                promise = self._promised.pop(key, None)
                if promise is not None:
                    self._recovery_points[key] = promise.offset
        self._unsettled.add(key)
        self._opened.add(key)
        known = 0 if is_new else self._recovery_points.get(key)
        log = open_log(
            f"{topic}-{partition}",
            directory,
            config,
            self.resources,
            self._committer,
            self._workers,
            clean=is_new or (self.was_clean and not again),
            recovery_point=known,
            start_offset=self._start_offsets.get(key, 0),
        )
        log.before_truncation = lambda end: self._lower_points(key, end)
        try:
            if known is not None and known > log.log_end_offset:
                self._lower_points(key, log.log_end_offset)
            if key in self._lost_ends:
                log.truncate(self._lost_ends.pop(key))
        except BaseException:
            log.close()
            raise
        self._logs[key] = log
        self._unsettled.discard(key)
        return log

    def _forget(self, key: TopicPartition) -> None:
        """Forgets what is known of a log that is not there, or not any more."""
        with self._checkpoint_lock:
            self._promised.pop(key, None)
            point = self._recovery_points.pop(key, None)
            start = self._start_offsets.pop(key, None)
            self._is_outdated = self._is_outdated or point is not None or start is not None
        self._cleaned_to.pop(key, None)
        self._unsettled.discard(key)
        self._opened.discard(key)
        self._lost_ends.pop(key, None)

    def _settle(self) -> None:
        """Before a log is made: makes sure that no checkpoint on disk is taken for its own."""
        with self._checkpoint_lock:
            if self._is_outdated:
                self._write_recovery_points()
                self._write_start_offsets()
                self._is_outdated = False

    def _lower_points(self, key: TopicPartition, end: int) -> None:
        """Before a log is cut at `end`: nothing behind may count as checked or deleted any more.

        Raises:
            OSError: the disk refused.
        """
        with self._checkpoint_lock:
            promise = self._promised.get(key)
            if promise is not None:
                promise.offset = min(promise.offset, end)
            if self._recovery_points.get(key, 0) > end:
                self._recovery_points[key] = end
                self._write_recovery_points()
            if self._start_offsets.get(key, 0) > end:
                self._start_offsets[key] = end
                self._write_start_offsets()

    def opened_all(self) -> None:
        """Says that every log there is has been opened; before that a stop after an unclean end is not a clean one."""
        self._all_opened = True

    def _check_topic_id(self, directory: str, topic_id: str) -> None:
        path = f"{directory}/{PARTITION_METADATA}"
        found = None
        if self._disk.exists(path):
            found = dict(
                line.split(": ", 1)
                for line in self._disk.read_file(path).decode("ascii", "replace").splitlines()
                if ": " in line
            ).get("topic_id")
        if found is None or (found != topic_id and topic_id.startswith(found)):
            # The file is not synced when it is made; a power cut may have left a part of it, or none.
            self._disk.write_file(path, _partition_metadata(topic_id), durable=False)
        elif found != topic_id:
            raise ForeignDirectory(f"{directory} belongs to the topic id {found}, not {topic_id}; move it away")

    def delete(self, topic: str, partition: int) -> Awaitable[None]:
        """Takes a log out of use and renames its directory, at once; its space is given back by a worker.

        Returns:
            To await the latter.

        Raises:
            OSError: the disk refused to rename it.
        """
        key = (topic, partition)
        log = self._logs.pop(key, None)
        self._forget(key)
        if log is not None:
            log.close("its topic was deleted")
        # A name has 255 bytes at most, which a long topic name leaves no room in.
        doomed = f"{self.path}/{topic[:150]}-{partition}.{self._random.randbytes(16).hex()}{DELETE_SUFFIX}"
        self._disk.rename(self.log_directory(topic, partition), doomed)
        return self._workers.run(self._disk.remove_tree, doomed)

    def close_log(self, topic: str, partition: int) -> None:
        """Takes a log out of use and leaves it on disk; it may be opened again."""
        key = (topic, partition)
        log = self._logs.pop(key, None)
        if log is None:
            return
        self._unsettled.add(key)
        self._note_start_offset(key, log)
        if log.offline is not None:
            if log.log_end_offset > log.committed_offset:
                self._lost_ends[key] = log.committed_offset
        else:
            try:
                point = log.prepare_checkpoint()
            except OSError as error:
                _log.warning("no new recovery point", log=log.name, error=str(error))
            else:
                # Holds after the next checkpoint, or when it is opened again, before which all is synced.
                with self._checkpoint_lock:
                    self._promised[key] = _Promise(point)
        log.close()

    def remove_strays(self, known: Callable[[str, int], bool]) -> list[Awaitable[None]]:
        """Removes the directories of logs that no topic knows; a crash in the deletion of a topic leaves such.

        Returns:
            To await the space given back.
        """
        removals = []
        for entry in self._disk.list(self.path):
            name, _, number = entry.name.rpartition("-")
            if not entry.is_directory or not name or not number.isdigit() or known(name, int(number)):
                continue
            if self._disk.exists(f"{self.path}/{entry.name}/{PARTITION_METADATA}"):
                _log.warning("directory of a deleted topic removed", path=f"{self.path}/{entry.name}")
                removals.append(self.delete(name, int(number)))
        return removals

    def set_strays_aside(self, known: Callable[[str, int], bool]) -> list[str]:
        """Renames the directories of logs that no topic knows, out of the way of topics to come (as Kafka).

        A crash in the deletion of a topic leaves such directories, and so does damage to what the server knows of its
        topics; therefore nothing is removed.

        Returns:
            Their new paths.

        Raises:
            OSError: the disk refused.
        """
        paths = []
        for entry in self._disk.list(self.path):
            name, _, number = entry.name.rpartition("-")
            if not entry.is_directory or not name or not number.isdigit() or known(name, int(number)):
                continue
            if not self._disk.exists(f"{self.path}/{entry.name}/{PARTITION_METADATA}"):
                continue
            self._forget((name, int(number)))
            path = f"{self.path}/{name[:150]}-{number}.{self._random.randbytes(16).hex()}{STRAY_SUFFIX}"
            self._disk.rename(f"{self.path}/{entry.name}", path)
            _log.warning(
                "a log of no known topic was set aside; remove the directory if its topic was deleted",
                log=entry.name,
                path=path,
            )
            paths.append(path)
        return paths

    # Housekeeping

    def space(self) -> tuple[int, int]:
        """Returns (free, total) bytes of the file system."""
        return self._disk.space(self.path)

    def size_bytes(self) -> int:
        """Returns the bytes of all logs."""
        return sum(log.size_bytes for log in self._logs.values())

    def tick(self) -> None:
        """Does what is due by time: `flush.ms`, files whose deletion delay is over. Cheap; call it every second."""
        now, monotonic = self._clock.now_ms(), self._clock.monotonic_ms()
        for log in list(self._logs.values()):
            try:
                log.flush_if_due(monotonic)
                log.remove_doomed(now)
            except OSError as error:
                # One log's trouble is not another's.
                _log.error("a log's due work failed", log=log.name, error=str(error))

    def apply_retention(self) -> None:
        """Removes segments that the logs' retention settings allow."""
        now = self._clock.now_ms()
        for log in list(self._logs.values()):
            try:
                log.apply_retention(now)
            except (StorageError, OSError) as error:
                # One log's trouble is not another's; it is tried again next time.
                _log.error("retention failed", log=log.name, error=str(error))

    def expire_producers(self) -> None:
        """Forgets producers that have not written for `producer.id.expiration.ms`."""
        now = self._clock.now_ms()
        for log in self._logs.values():
            log.producers.expire(now, log.config.producer_expiration_ms)

    async def compact(self) -> None:
        """Compacts the logs whose settings ask for it and that have enough that is not compacted yet."""
        for key, log in list(self._logs.items()):
            now = self._clock.now_ms()
            if not log.config.compact or log.offline is not None:
                continue
            try:
                ratio = cleaner.dirty_ratio(log, self._cleaned_to.get(key, 0), now)
                if ratio == 0 or ratio < log.config.min_cleanable_dirty_ratio:
                    continue
                end = log.segments[-1].base_offset
                done = await cleaner.clean(log, self.resources, self._workers, now)
            except (OSError, StorageError, ScanStopped, RecordError) as error:
                # One log's trouble is not another's; it is tried again next time.
                _log.error("compaction failed", log=log.name, error=str(error))
                continue
            if done is not None and self._logs.get(key) is log:
                self._cleaned_to[key] = end

    async def checkpoint(self) -> None:
        """Writes recovery points and log start offsets, after making all that they promise durable.

        Raises:
            OSError: the disk refused; the recovery points stay as they were.
        """
        written = self._prepare_checkpoint()
        try:
            await self._workers.run(self._write_checkpoints)
        except OSError as error:
            self._flush_failed(written, error)
            raise
        for log in written:
            if log.offline is None:
                log.prune_snapshots()

    def _prepare_checkpoint(self) -> list[Log]:
        """Writes out what is only in memory; returns the logs that get a new recovery point."""
        written = []
        for key, log in self._logs.items():
            if log.offline is not None or self._recovery_points.get(key) == log.log_end_offset:
                continue
            try:
                point = log.prepare_checkpoint()
            except OSError as error:
                _log.warning("no new recovery point", log=log.name, error=str(error))
                continue
            with self._checkpoint_lock:
                self._promised[key] = _Promise(point)
            written.append(log)
        self._note_start_offsets()
        return written

    @staticmethod
    def _flush_failed(logs: list[Log], error: OSError) -> None:
        """Ends logs that were written to and whose flushing nobody else looks after: the disk may not have it all."""
        for log in logs:
            if log.config.flush_messages != 1:
                log.lost(Loss(LossReason.FAILED, f"the disk failed to flush: {error.strerror or error}"))

    def _note_start_offsets(self) -> None:
        for key, log in self._logs.items():
            self._note_start_offset(key, log)

    def _note_start_offset(self, key: TopicPartition, log: Log) -> None:
        with self._checkpoint_lock:
            # Also where it is the first segment's base offset: a power cut may bring segments before that one back.
            if log.log_start_offset:
                self._start_offsets[key] = log.log_start_offset
            else:
                self._start_offsets.pop(key, None)

    async def persist_start_offsets(self) -> None:
        """Makes the logs' start offsets durable.

        Raises:
            OSError: the disk refused.
        """
        self._note_start_offsets()
        await self._workers.run(self._write_only_start_offsets)

    def _write_only_start_offsets(self) -> None:
        with self._checkpoint_lock:
            self._write_start_offsets()

    def _write_checkpoints(self) -> None:
        with self._checkpoint_lock:
            covered = dict(self._promised)
        if covered:
            self._disk.sync_filesystem(self.path)
        with self._checkpoint_lock:
            for key, promise in covered.items():
                # Otherwise the log was deleted meanwhile.
                if self._promised.get(key) is promise:
                    del self._promised[key]
                    self._recovery_points[key] = promise.offset
            self._write_recovery_points()
            self._write_start_offsets()
            self._is_outdated = False

    def _write_recovery_points(self) -> None:
        content = format_offsets(self._recovery_points)
        if content != self._written_points:
            self._disk.write_file(f"{self.path}/{RECOVERY_POINTS}", content, durable=True)
            self._written_points = content

    def _write_start_offsets(self) -> None:
        content = format_offsets(self._start_offsets)
        if content != self._written_starts:
            self._disk.write_file(f"{self.path}/{LOG_STARTS}", content, durable=True)
            self._written_starts = content

    def close(self) -> None:
        """Stops cleanly: makes everything durable and says so, unless some log could not be.

        The committer must have ended, and its reports have arrived.

        Raises:
            OSError: the disk refused; the next start will check the logs.
        """
        clean = not self._unsettled and (self.was_clean or self._all_opened)
        try:
            for key, log in self._logs.items():
                if log.offline is not None:
                    clean = False
                    continue
                if log.committed_offset < log.log_end_offset:
                    # Nobody said that it is durable, so perhaps it can't be.
                    clean = False
                    _log.error("no clean stop: not all is flushed", log=log.name)
                    continue
                try:
                    point = log.prepare_close()
                except OSError as error:
                    clean = False
                    _log.error("no clean stop", log=log.name, error=str(error))
                    continue
                with self._checkpoint_lock:
                    self._promised[key] = _Promise(point)
            self._note_start_offsets()
            self._write_checkpoints()
            if clean:
                content = json.dumps({"version": "0", "broker_epoch": "-1"}).encode("ascii")
                self._disk.write_file(f"{self.path}/{CLEAN_SHUTDOWN}", content, durable=True)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Lets go of everything as it is; the next start will check the logs."""
        try:
            for log in self._logs.values():
                log.close()
            self._logs.clear()
        finally:
            self._lock.release()


def _parse_properties(content: bytes) -> dict[str, str]:
    lines = content.decode("utf-8", "replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def _partition_metadata(topic_id: str) -> bytes:
    return f"version: 0\ntopic_id: {topic_id}".encode("ascii")
