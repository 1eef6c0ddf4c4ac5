"""Giving space back: old segments, deleted records, and what compaction has made smaller."""

from enum import Enum

from logserver_segments.committer import LogEnd
from logserver_segments.config import UNLIMITED
from logserver_segments.errors import DiskFull, OffsetOutOfRange
from logserver_segments.log.epochs import try_to_write_epochs
from logserver_segments.log.indexes import check, max_timestamp_of
from logserver_segments.log.remove import remove_later
from logserver_segments.log.roll import roll
from logserver_segments.log.snapshots import remove_snapshots_before, sync_snapshot
from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger
from logserver_segments.reading import BEGIN, BadBatch, find_batch
from logserver_segments.segment import Segment

_log = get_logger("logserver.segments")


def delete_records_before(state: LogState, offset: int) -> None:
    """Raises the log start offset; see `PartitionLog.delete_records_before`."""
    state.check_online()
    if offset > state.committed.offset or offset < 0:
        raise OffsetOutOfRange(
            f"can't delete records of {state.name} before offset {offset}: they go from {state.start} "
            f"to {state.committed.offset}"
        )
    if offset > state.start:
        _raise_start(state, offset)


def _raise_start(state: LogState, offset: int) -> None:
    state.start = offset
    if state.epochs.truncate_start(offset):
        try_to_write_epochs(state)


async def prepare(state: LogState, now_ms: int) -> None:
    """Reads with a worker's help what `apply_retention` and the next append look at, so that nobody waits for the disk
    meanwhile: after a start nothing of a log has been read.

    Raises:
        CorruptRecords: a segment is damaged.
        ReadFailed: the disk refused.
    """
    if state.offline is not None:
        return
    await _find_first_timestamp(state)
    if not state.config.delete or state.config.retention_ms == UNLIMITED:
        return
    for segment in list(state.segments.items):
        if not segment.checked and segment.size:
            await check(state, segment)
            # One with indexes made again may be in its place.
            segment = state.segment_at(segment.base_offset)
        # Others may have gone on meanwhile; then the next time has less to read.
        if state.offline is not None or not segment.checked or _age(state, segment, now_ms) is Age.WITHIN:
            return


async def _find_first_timestamp(state: LogState) -> None:
    """Finds what `segment.ms` counts from."""
    active = state.segments.active
    if active.first_timestamp is not None or not active.size:
        return
    try:
        found = await state.workers.run(find_batch, active.blocking_fetcher(), BEGIN, active.size, active.base_offset)
    except BadBatch as error:
        raise state.damaged(active, error) from None
    except OSError as error:
        raise state.read_failed(error) from error
    if active.first_timestamp is None:
        active.first_timestamp = found.header.max_timestamp if found is not None else -1


def apply_retention(state: LogState, now_ms: int) -> int:
    """Removes segments that `retention.ms`, `retention.bytes` and the log start offset allow; returns how many.

    Only whole committed segments go; an active one that has expired is rolled first (as Kafka).
    """
    if state.offline is not None:
        return 0
    count = _count_to_drop(state, now_ms)
    if count == 0:
        return 0
    if count == len(state.segments.items):
        try:
            roll(state)
        except DiskFull:
            # A full disk must not keep us from freeing it; the active segment goes next time.
            count -= 1
            if not count:
                raise
    _drop_segments(state, count, now_ms)
    return count


def _count_to_drop(state: LogState, now_ms: int) -> int:
    """Returns how many of the first segments may go."""
    config, segments = state.config, state.segments
    # Segments behind these, whose age is not known, are looked at, too.
    count = 0
    held = state.held_from() if state.held_from is not None else None
    excess = segments.size_bytes - config.retention_bytes if config.retention_bytes != UNLIMITED else -1
    for number, segment in enumerate(segments.items):
        last = segment is segments.active
        behind = state.next_base(number)
        if behind > state.committed.offset or (last and not segment.size):
            break
        below_start = not last and behind <= state.start
        if not below_start and held is not None and behind > held:
            break
        too_much = config.delete and not last and 0 <= segment.size <= excess
        age = _age(state, segment, now_ms)
        if age is Age.OVER or (number == count and (below_start or too_much)):
            excess -= sum(gone.size for gone in segments.items[count : number + 1])
            count = number + 1
        elif age is Age.WITHIN:
            break
    return count


class Age(Enum):
    """How old a segment is beside `retention.ms`."""

    WITHIN = "within"
    OVER = "over"
    UNKNOWN = "unknown"


def _age(state: LogState, segment: Segment, now_ms: int) -> Age:
    """Judges by the largest timestamp, as Kafka. Where there is none, or one in the future, nothing is known: what was
    appended behind it tells then. In Kafka a timestamp in the far future would keep everything behind it for good.
    """
    if not state.config.delete or state.config.retention_ms == UNLIMITED:
        return Age.WITHIN
    if not segment.size:
        return Age.OVER
    latest = max_timestamp_of(state, segment)
    if not 0 <= latest <= now_ms:
        return Age.UNKNOWN
    return Age.OVER if now_ms - latest > state.config.retention_ms else Age.WITHIN


def _drop_segments(state: LogState, count: int, now_ms: int) -> None:
    # The file that the log goes on with must be there before the others are not: it tells the log end. So must be what
    # its producers had sent before it.
    if sync_snapshot(state, state.segments.bases[count]) or state.new_file:
        state.resources.disk.sync_directory(state.directory)
    _raise_start(state, max(state.start, state.segments.bases[count]))
    gone = state.segments.remove_first(count)
    for segment in gone:
        remove_later(state, segment, now_ms)
    remove_snapshots_before(state, state.segments.bases[0])
    _log.info("segments deleted", log=state.name, count=count, bytes=sum(s.size for s in gone), log_start=state.start)


def replace_segments(state: LogState, old: list[Segment], new: Segment) -> None:
    """Takes a compacted segment, already in its place on disk, for the adjacent sealed ones it was made from."""
    segments = state.segments
    number = segments.items.index(old[0])
    assert segments.items[number : number + len(old)] == old and number + len(old) < len(segments.items)
    segments.replace(number, len(old), new)
    if new.base_offset <= state.committed.segment_base < state.next_base(number):
        state.committed = LogEnd(state.committed.offset, new.base_offset, new.size)
    for segment in old:
        segment.release()
