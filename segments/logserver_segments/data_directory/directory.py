"""The data directory, as others use it."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from logserver_segments.checkpoints import TopicPartition
from logserver_segments.committer import FLUSH_FAILED, Committer, Loss, LossReason, flush_directory, note_failed_flush
from logserver_segments.compaction.cleaner import Cleaner
from logserver_segments.compaction.config import CleanerConfig
from logserver_segments.compaction.schedule import Schedule
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import housekeeping
from logserver_segments.data_directory.meta import META, claim, load_meta
from logserver_segments.data_directory.names import (
    DELETE_SUFFIX,
    STRAY_SUFFIX,
    directory_of,
    remove_deleted,
    strays,
    way_out,
)
from logserver_segments.data_directory.offsets import Offsets
from logserver_segments.data_directory.topic_id import check_topic_id, is_of_topic, write_topic_id
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.pool import Pool
from logserver_segments.recovery import open_log
from logserver_segments.seams import Clock, Disk, File, Mapping, Random, Workers
from logserver_segments.segment import Resources
from logserver_segments.space import DirectoryState, SpaceGuard

CLEAN_SHUTDOWN: Final = ".kafka_cleanshutdown"

_log = get_logger("logserver.segments")


class DataDirectory:
    """The logs in one directory. All methods belong to one thread, except where a `Workers` runs a part.

    Args:
        path: the directory; made if it is not there.
        node_id: of this server; must be the one that made the directory.
        open_files: how many segment files may be open at once.
        mapped_files: how many files may be mapped at once.
        least_free_bytes: of the file system, below which no records are taken (`log.dir.min.free.bytes`).
        cluster_id: that it must have, and that a new one gets; None: any.
        workers: for what is done with the disk besides reading records.
        readers: for reading records that are not in memory; `workers` if there are none of their own.
        preparers: for what takes long without the disk; `workers` if there are none of their own.
        cleaners: for compaction; `workers` if there are none of their own.
        cleaner_limits: what compaction may use.

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
        least_free_bytes: int = 0,
        cluster_id: str | None = None,
        readers: Workers | None = None,
        preparers: Workers | None = None,
        cleaners: Workers | None = None,
        cleaner_limits: CleanerConfig | None = None,
    ) -> None:
        self.path = path
        self._disk = disk
        self._clock = clock
        self._random = random
        self._workers = workers
        # A disk that is slow, or does not answer at all, must not keep others from their work.
        self._readers = readers or workers
        self.room = SpaceGuard(disk, path, least_free_bytes)
        files, maps = Pool[File](open_files), Pool[Mapping](mapped_files)
        self.resources = Resources(disk, files, maps, self.room, preparers or workers, flush_failed=self._note_failed)
        self._logs: dict[TopicPartition, Log] = {}
        self._committer: Committer | None = None
        # Logs whose recovery point on disk is not their end: closed while in use, or not to be opened.
        self._unsettled: set[TopicPartition] = set()
        self._all_opened = False
        # While the logs are opened: the next start has to write again, too.
        self._flush_failed_again = False
        # Since this object was made; what is on disk of these is not as the last stop left it.
        self._opened: set[TopicPartition] = set()
        # Where logs ended that are offline and could not be cut there.
        self._lost_ends: dict[TopicPartition, int] = {}
        self._lock = claim(path, disk)
        try:
            self.is_new = not disk.exists(f"{path}/{META}")
            self.meta = load_meta(path, node_id, disk, random, cluster_id)
            self.was_clean = disk.exists(f"{path}/{CLEAN_SHUTDOWN}")
            self._flush_failed = disk.exists(f"{path}/{FLUSH_FAILED}")
            self._offsets = Offsets(path, disk)
            cleaner = Cleaner(self.resources, workers, cleaners or workers, clock, cleaner_limits or CleanerConfig())
            self._schedule = Schedule(self._logs.items, self._offsets, cleaner, random)
            # From here on an end without `close` is an unclean one.
            if self.was_clean:
                disk.remove(f"{path}/{CLEAN_SHUTDOWN}")
                disk.sync_directory(path)
            else:
                # What an ended process wrote and did not flush can be read, and a power cut could still take it back;
                # so it could a directory that has just been made, with those above it.
                flush_directory(disk, path)
            remove_deleted(path, disk)
        except BaseException:
            self._lock.release()
            raise

    def start(self, committer: Committer) -> None:
        """Names what makes the logs durable; before the first `open`."""
        self._committer = committer

    # Logs

    def __iter__(self) -> Iterator[tuple[TopicPartition, Log]]:
        return iter(self._logs.items())

    def __len__(self) -> int:
        return len(self._logs)

    def log_directory(self, topic: str, partition: int) -> str:
        """Returns the path of a log's directory."""
        return directory_of(self.path, (topic, partition))

    def open(self, topic: str, partition: int, topic_id: str, config: LogConfig) -> Log:
        """Opens a log, or makes an empty one if there is none.

        Raises:
            ForeignDirectory: the directory holds a log of another topic of the same name, which no power cut can have
                left there.
            OSError: the disk refused.
        """
        key = (topic, partition)
        assert key not in self._logs and self._committer is not None
        directory = self.log_directory(topic, partition)
        disk = self._disk
        if not self.was_clean and not self._all_opened and not is_of_topic(directory, topic_id, disk):
            # The topic was deleted and made again, and a power cut took back that its directory made way.
            self._set_aside(key)
        is_new = not disk.exists(directory)
        if is_new:
            self._forget(key)
            self._offsets.settle()
            disk.make_directory(directory)
            write_topic_id(directory, topic_id, disk)
        else:
            check_topic_id(directory, topic_id, disk)
        again = key in self._opened
        if again:
            # What was written and not flushed when it was closed counts from now on.
            try:
                flush_directory(disk, self.path)
            except OSError as error:
                self._flush_has_failed(error)
                raise
            self._offsets.fulfil(key)
        self._unsettled.add(key)
        self._opened.add(key)
        known = 0 if is_new else self._offsets.recovery_point(key)
        log = open_log(
            f"{topic}-{partition}",
            directory,
            config,
            self.resources,
            self._committer,
            self._readers,
            clean=is_new or (self.was_clean and not again),
            recovery_point=known,
            start_offset=self._offsets.start_offset(key),
            write_again=self._flush_failed,
            forget_point=lambda: self._offsets.forget_point(key),
        )
        log.before_truncation = lambda end: self._offsets.lower(key, end)
        try:
            if max(known or 0, self._offsets.cleaned_to(key)) > log.log_end_offset:
                self._offsets.lower(key, log.log_end_offset)
            if key in self._lost_ends:
                log.truncate(self._lost_ends.pop(key))
        except BaseException:
            log.close()
            raise
        self._logs[key] = log
        self._unsettled.discard(key)
        return log

    def opened_all(self) -> None:
        """Says that every log there is has been opened; before that a stop after an unclean end is not a clean one.

        Where a flush had failed before, what opening them has written again is flushed; if that fails, too, all logs
        are offline. The next start does so again if not all logs could be opened, some are offline already, or the
        disk was full.
        """
        if self._flush_failed:
            try:
                self._disk.sync_filesystem(self.path)
                if not self._unsettled and not self.has_lost_logs and not self._flush_failed_again:
                    self._disk.remove(f"{self.path}/{FLUSH_FAILED}")
                self._flush_failed = False
            except OSError as error:
                for log in self._logs.values():
                    log.lost(_failed(error))
        self._all_opened = True

    def _note_failed(self) -> None:
        self._flush_failed_again = True
        note_failed_flush(self._disk, self.path)

    def _forget(self, key: TopicPartition) -> None:
        """Forgets what is known of a log that is not there, or not any more."""
        self._offsets.forget(key)
        self._unsettled.discard(key)
        self._opened.discard(key)
        self._lost_ends.pop(key, None)

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
        doomed = way_out(self.path, key, DELETE_SUFFIX, self._random)
        self._disk.rename(directory_of(self.path, key), doomed)
        return self._workers.run(self._disk.remove_tree, doomed)

    def close_log(self, topic: str, partition: int) -> None:
        """Takes a log out of use and leaves it on disk; it may be opened again."""
        key = (topic, partition)
        log = self._logs.pop(key, None)
        if log is None:
            return
        self._unsettled.add(key)
        self._offsets.note_start(key, log.log_start_offset)
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
                self._offsets.promise(key, point)
        log.close()

    def remove_strays(self, known: Callable[[str, int], bool]) -> list[Awaitable[None]]:
        """Removes the directories of logs that no topic knows; a crash in the deletion of a topic leaves such.

        Returns:
            To await the space given back.
        """
        removals = []
        for key in strays(self.path, known, self._disk):
            _log.warning("directory of a deleted topic removed", path=directory_of(self.path, key))
            removals.append(self.delete(*key))
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
        for key in strays(self.path, known, self._disk):
            path = self._set_aside(key)
            paths.append(path)
        return paths

    def undo_open(self, topic: str, partition: int) -> None:
        """Removes what an opening that failed has left of a log that was to be made, as far as the disk lets us."""
        key = (topic, partition)
        self._forget(key)
        try:
            self._disk.remove_tree(directory_of(self.path, key))
        except OSError as error:
            # It has no records, so the next start takes the other one.
            _log.warning("an empty log remains", path=directory_of(self.path, key), error=str(error))

    # What is there

    def states(self) -> list[DirectoryState]:
        """Returns the state of this directory, as the only one."""
        free = total = 0
        failure = None
        try:
            free, total = self._disk.space(self.path)
        except OSError as error:
            failure = error
        return [DirectoryState(self.path, sum(log.size_bytes for log in self._logs.values()), total, free, failure)]

    def path_of(self, topic: str, partition: int) -> str | None:
        """Returns the path of the directory that a log is in."""
        return self.path

    def shortage(self) -> str | None:
        """Returns why no records are taken, or None."""
        self.room.measure()
        return self.room.shortage() if self.room.is_short else None

    @property
    def has_lost_logs(self) -> bool:
        """Whether the disk has taken a log offline since the start."""
        return bool(self.resources.lost)

    def _set_aside(self, key: TopicPartition) -> str:
        self._forget(key)
        path = way_out(self.path, key, STRAY_SUFFIX, self._random)
        self._disk.rename(directory_of(self.path, key), path)
        _log.warning(
            "a log of no known topic was set aside; remove the directory if its topic was deleted",
            log=f"{key[0]}-{key[1]}",
            path=path,
        )
        return path

    # Housekeeping

    def tick(self) -> None:
        """Does what is due by time: `flush.ms`; looks how much space is free. Cheap; call it every second."""
        self.room.measure()
        housekeeping.do_what_is_due(list(self._logs.values()), self._clock.monotonic_ms())

    async def remove_doomed(self) -> None:
        """Removes files of deleted segments whose deletion delay is over; to be called every second or so."""
        await housekeeping.remove_doomed(list(self._logs.values()), self._disk, self._workers, self._clock.now_ms())

    async def apply_retention(self) -> None:
        """Removes segments that the logs' retention settings allow."""
        turns = housekeeping.Turns(self._clock)
        await housekeeping.apply_retention(list(self._logs.values()), self._clock.now_ms(), turns)

    def expire_producers(self) -> None:
        """Forgets producers that have not written for `producer.id.expiration.ms`."""
        now = self._clock.now_ms()
        for log in self._logs.values():
            log.producers.expire(now, log.config.producer_expiration_ms)

    async def compact(self) -> int:
        """Compacts the logs whose settings ask for it and that have enough that is not compacted yet; returns how many
        compactions that took."""
        return await self._schedule.compact()

    # Checkpoints and the end

    async def checkpoint(self) -> None:
        """Writes recovery points and log start offsets, after making all that they promise durable.

        Raises:
            OSError: the disk refused; the recovery points stay as they were.
        """
        written = await self._prepare_checkpoint()
        try:
            await self._workers.run(self._offsets.make_durable)
        except OSError as error:
            self._flush_has_failed(error)
            raise
        await self._workers.run(self._offsets.write)
        for log in written:
            if log.offline is None:
                log.prune_snapshots()

    def _flush_has_failed(self, error: OSError) -> None:
        """Ends logs that were written to and whose flushing nobody else looks after: the disk may not have it all."""
        for key, log in tuple(self._logs.items()):
            if log.config.flush_messages != 1 and (self._offsets.recovery_point(key) or 0) != log.log_end_offset:
                log.lost(_failed(error))

    async def _prepare_checkpoint(self) -> list[Log]:
        """Writes out what is only in memory; returns the logs that get a new recovery point."""
        written = []
        turns = housekeeping.Turns(self._clock)
        for key, log in list(self._logs.items()):
            await turns.pause()
            # Its topic may have been deleted meanwhile.
            if self._logs.get(key) is not log:
                continue
            if log.offline is not None or self._offsets.recovery_point(key) == log.log_end_offset:
                continue
            try:
                point = log.prepare_checkpoint()
            except OSError as error:
                _log.warning("no new recovery point", log=log.name, error=str(error))
                continue
            self._offsets.promise(key, point)
            written.append(log)
        self._note_starts()
        return written

    def _note_starts(self) -> None:
        for key, log in self._logs.items():
            self._offsets.note_start(key, log.log_start_offset)

    async def persist_start_offset(self, topic: str, partition: int) -> None:
        """Makes the start offset of a log durable, with those of the others; as `persist_start_offsets`."""
        await self.persist_start_offsets()

    async def persist_start_offsets(self) -> None:
        """Makes the logs' start offsets durable.

        Raises:
            OSError: the disk refused.
        """
        self._note_starts()
        await self._workers.run(self._offsets.write_starts)

    def close(self) -> None:
        """Stops cleanly: makes everything durable and says so, unless some log could not be.

        The committer must have ended, and its reports have arrived.

        Raises:
            OSError: the disk refused; the next start will check the logs.
        """
        try:
            clean = self._prepare_close() and not self._unsettled and (self.was_clean or self._all_opened)
            self._note_starts()
            self._offsets.make_durable()
            self._offsets.write()
            if clean and not self._disk.exists(f"{self.path}/{FLUSH_FAILED}"):
                content = json.dumps({"version": "0", "broker_epoch": "-1"}).encode("ascii")
                self._disk.write_file(f"{self.path}/{CLEAN_SHUTDOWN}", content, durable=True)
        finally:
            self.abandon()

    def _prepare_close(self) -> bool:
        """Writes out what is only in memory; returns whether every log is as a clean stop leaves it."""
        clean = True
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
            self._offsets.promise(key, point)
        return clean

    def abandon(self) -> None:
        """Lets go of everything as it is; the next start will check the logs."""
        try:
            for log in self._logs.values():
                log.close()
            self._logs.clear()
        finally:
            self._lock.release()


def _failed(error: OSError) -> Loss:
    return Loss(LossReason.FAILED, f"the disk failed to flush: {error.strerror or error}")
