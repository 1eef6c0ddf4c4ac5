"""Compaction of one log: what a worker has written takes the place of what it was made from.

Offsets never change. What survives is in `survivors`, what the worker does in `work`, how the files change places in
`swap`. The worker may end at any time; then the log is as far compacted as it has come.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from logserver_records.errors import RecordError

from logserver_segments.committer import Loss, LossReason
from logserver_segments.compaction.config import CleanerConfig
from logserver_segments.compaction.eligible import Cleanable
from logserver_segments.compaction.job import Done, Job, LastOfProducer, Source, Written
from logserver_segments.compaction.swap import begin_swap, discard, discard_all, end_swap, forget_swap, undo_swap
from logserver_segments.compaction.work import compact
from logserver_segments.index import IndexDamaged
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.producer import Producer
from logserver_segments.scan import ScanStopped
from logserver_segments.seams import Clock, Disk, WorkerDied, Workers
from logserver_segments.segment import Resources, Segment
from logserver_segments.space import least_free_for_compaction

_log = get_logger("logserver.segments")


class Cleaner(NamedTuple):
    """What compactions work with."""

    resources: Resources
    # Threads, for what waits for the disk.
    workers: Workers
    # For what takes the processor.
    processes: Workers
    clock: Clock
    limits: CleanerConfig


class Cleaned(NamedTuple):
    """What a compaction did: how far it came, bytes before and after, records kept and dropped."""

    # Everything before it is compacted.
    cleaned_to: int
    bytes_before: int
    bytes_after: int
    kept: int
    dropped: int


async def clean(log: Log, found: Cleanable, cleaner: Cleaner, token: str) -> Cleaned | None:
    """Compacts what of a log can be, as far as the map of keys reaches.

    Args:
        token: a name for this attempt, which no other one has had.

    Returns:
        None if the log has changed under it; it is tried again.

    Raises:
        OSError, StorageError: the disk refused; the log is as it was, or compacted in part, or offline where that
            could not be had.
        ScanStopped, RecordError, IndexDamaged: a segment is damaged; the log is as it was, or compacted in part.
        WorkerDied: the same where the worker has ended.
    """
    # Those that the worker may still read.
    left = list(found.segments)
    try:
        return await _clean(log, await _job(log, found, cleaner, token), left, cleaner)
    except (OSError, ScanStopped, RecordError, IndexDamaged):
        if log.offline is None and not _are_in(log, left):
            # Segments were deleted, or cut, while they were read.
            return None
        raise
    except WorkerDied:
        # It could not remove what it was writing, which may be a gigabyte.
        await cleaner.workers.run(discard_all, log.directory, token, cleaner.resources.disk)
        raise


async def _clean(log: Log, job: Job, left: list[Segment], cleaner: Cleaner) -> Cleaned | None:
    before = after = kept = dropped = 0
    steps = cleaner.processes.steps(compact, job)
    try:
        async for step in steps:
            if isinstance(step, Done):
                done = Cleaned(step.reach, before, after, kept, dropped)
                _log.info("log compacted", log=log.name, **done._asdict(), keys=step.keys, moved=step.bytes_moved)
                return done
            old = [segment for segment in left if segment.base_offset <= step.last_base_offset]
            before += sum(segment.size for segment in old)
            if not step.is_changed:
                del left[: len(old)]
            elif not await _swap(log, left, len(old), step, cleaner, job.token):
                return None
            after += step.size
            kept += step.kept
            dropped += step.dropped
    finally:
        await steps.aclose()
    return None


async def _job(log: Log, found: Cleanable, cleaner: Cleaner, token: str) -> Job:
    for segment in found.segments:
        if not segment.aborted.is_trusted:
            # Looking makes it again.
            await _aborted(log, segment.base_offset, segment.base_offset + 1)
    behind = [
        transaction
        for transaction in await _aborted(log, found.end_offset - 1, found.end_offset)
        if transaction.last_offset >= found.end_offset
    ]
    sources = [
        Source(
            log.directory,
            segment.base_offset,
            log.offset_behind(segment),
            segment.size,
            segment.index.size_bytes,
            segment.time_index.size_bytes,
            segment.aborted.file_bytes,
        )
        for segment in found.segments
    ]
    # There may be a hundred thousand of them.
    producers = await cleaner.workers.run(_last_of, list(log.producers.items()))
    return Job(
        sources,
        found.dirty_from,
        behind,
        producers,
        token,
        log.config,
        cleaner.limits,
        least_free_for_compaction(cleaner.resources.space),
        cleaner.resources.disk,
        cleaner.clock.now_ms(),
    )


async def _aborted(log: Log, start_offset: int, end_offset: int) -> list[AbortedTransaction]:
    found = log.aborted_transactions(start_offset, end_offset)
    return found if isinstance(found, list) else await found


async def _swap(log: Log, left: list[Segment], count: int, written: Written, cleaner: Cleaner, token: str) -> bool:
    """Puts a new segment in the place of the first `count` that are left; returns False if the log has changed
    meanwhile.

    What waits for the disk is done by a worker: that the swap has begun is made durable before anything goes, and what
    goes is let go of where that may take its time. Until the swap ends the old segments are read.
    """
    disk, directory, base = cleaner.resources.disk, log.directory, written.base_offset
    old = left[:count]
    if not _are_in(log, old):
        await cleaner.workers.run(discard, directory, base, token, disk)
        return False
    begin_swap(directory, base, token, disk)
    swap = _Swap(log, base, disk)
    try:
        await cleaner.workers.run(disk.sync_directory, directory)
    except BaseException:
        swap.undo()
        raise
    if not _are_in(log, old):
        swap.undo()
        return False
    if swap.is_undone:
        return False
    held = [thing for segment in old for thing in segment.open_things()]
    swap.end(old, _segment(log, written, cleaner.resources))
    del left[:count]
    await cleaner.workers.run(_settle, directory, base, disk, held)
    return True


def _settle(directory: str, base_offset: int, disk: Disk, held: list[object]) -> None:
    disk.sync_directory(directory)
    forget_swap(directory, base_offset, disk)
    # The space of a large file that goes takes its time to come back.
    held.clear()


class _Swap:
    """A swap that has begun. The log undoes it before it is cut, because the next start would finish it."""

    def __init__(self, log: Log, base_offset: int, disk: Disk) -> None:
        self._log = log
        self._base_offset = base_offset
        self._disk = disk
        self.is_undone = False
        log.undo_swap = self.undo

    def undo(self) -> None:
        """Makes the old segments count again, unless another owner of the directory has decided already.

        Raises:
            OSError: the disk refused; the next start finishes it.
        """
        if self._log.offline is not None or self.is_undone:
            return
        undo_swap(self._log.directory, self._base_offset, self._disk)
        self._disk.sync_directory(self._log.directory)
        self.is_undone = True
        self._log.undo_swap = None

    def end(self, old: list[Segment], new: Segment) -> None:
        """Ends it: from now on the new segment is read.

        Raises:
            OSError: the disk refused; the log is offline.
        """
        log = self._log
        try:
            end_swap(log.directory, self._base_offset, [segment.base_offset for segment in old], self._disk)
            if not new.aborted.may_have_entries:
                self._disk.remove(new.aborted.path)
        except OSError as error:
            # The next opening finishes it; until then the files are neither the old ones nor the new.
            log.lost(Loss(LossReason.FAILED, f"a compaction could not be finished: {error.strerror or error}"))
            raise
        log.undo_swap = None
        log.replace_segments(old, new)


def _segment(log: Log, written: Written, resources: Resources) -> Segment:
    segment = Segment(
        log.directory,
        written.base_offset,
        resources,
        size=written.size,
        sealed=True,
        index_bytes=written.index_bytes,
        time_index_bytes=written.time_index_bytes,
        transaction_index_bytes=written.transaction_index_bytes,
    )
    segment.indexes_rebuilt()
    segment.first_timestamp = written.first_timestamp
    segment.max_timestamp = written.max_timestamp
    segment.max_timestamp_offset = written.max_timestamp_offset
    return segment


def _are_in(log: Log, segments: list[Segment]) -> bool:
    return log.offline is None and set(segments) <= set(log.segments[:-1])


def _last_of(producers: Iterable[tuple[int, Producer]]) -> Mapping[int, LastOfProducer]:
    """Returns how the states of producers are told by a log; they may change meanwhile."""
    found = {}
    for producer_id, producer in producers:
        try:
            last_offset: int | None = producer.batches[-1].last_offset
        except IndexError:
            # Only a marker tells of it.
            last_offset = None
        found[producer_id] = LastOfProducer(last_offset, producer.epoch)
    return found
