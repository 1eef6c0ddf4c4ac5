"""The indexes of a log's segments: checked when first used, and made again where they are damaged."""

from logserver_segments.index import IndexDamaged
from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger
from logserver_segments.rebuild import note_batches, prepare_indexes
from logserver_segments.segment import Segment

_log = get_logger("logserver.segments")


def max_timestamp_of(state: LogState, segment: Segment) -> int:
    """Returns the largest timestamp in a segment, -1 if it has none.

    Raises:
        CorruptRecords: the segment is damaged.
        ReadFailed: the disk refused.
    """
    check_now(state, segment)
    return segment.load_max_timestamp()


def check_now(state: LogState, segment: Segment) -> None:
    """Checks a segment's indexes if that has not been done, and makes them again at once if they are damaged.

    Raises:
        CorruptRecords: the segment is damaged.
        ReadFailed: the disk refused.
    """
    if segment.checked:
        return
    try:
        try:
            segment.check_indexes(state.offset_behind(segment))
        except IndexDamaged as error:
            _log.warning("index made again", log=state.name, segment=segment.path, reason=str(error))
            rebuild_now(state, segment)
    except OSError as error:
        raise state.read_failed(error) from error


async def check(state: LogState, segment: Segment) -> None:
    """Checks a segment's indexes if that has not been done, with a worker's help; they may have been made again then,
    in another segment in its place.

    Raises:
        CorruptRecords: the segment is damaged.
        ReadFailed: the disk refused.
    """
    try:
        await state.workers.run(segment.warm_index_ends)
        if state.offline is not None or segment.checked or state.segment_at(segment.base_offset) is not segment:
            return
        try:
            segment.check_indexes(state.offset_behind(segment))
        except IndexDamaged as error:
            _log.warning("index made again", log=state.name, segment=segment.path, reason=str(error))
            await rebuild(state, segment)
    except OSError as error:
        raise state.read_failed(error) from error


def rebuild_now(state: LogState, segment: Segment) -> None:
    """Makes a segment's indexes again from its batches, on this thread.

    Raises:
        CorruptRecords: the segment is damaged.
        OSError: the disk refused.
    """
    segment.reset_indexes()
    behind = state.offset_behind(segment)
    note_batches(segment, segment.file, segment.size, behind, state.config.index_interval_bytes)
    if segment.sealed:
        segment.seal()


async def rebuild(state: LogState, segment: Segment) -> None:
    """Makes the indexes of a segment again; of a sealed one on a worker, readers meanwhile see the old state.

    Raises:
        CorruptRecords: the segment is damaged.
        OSError: the disk refused.
    """
    if state.segment_at(segment.base_offset) is not segment:
        return
    if not segment.sealed:
        rebuild_now(state, segment)
        return
    fresh = Segment(state.directory, segment.base_offset, state.resources, size=segment.size, sealed=True)
    fresh.aborted = segment.aborted
    behind, interval, disk = state.offset_behind(segment), state.config.index_interval_bytes, state.resources.disk
    await state.workers.run(prepare_indexes, fresh, segment.file, segment.size, behind, interval, disk)
    number = state.segments.number_of(segment.base_offset)
    # Otherwise somebody else was faster: another reader, retention, a compaction.
    if state.segments.items[number] is segment:
        fresh.take_rebuilt()
        state.segments.replace(number, 1, fresh)
        segment.release()


def try_to_flush(state: LogState, segment: Segment) -> None:
    """Writes index entries that are only in memory to their files, if the disk lets us."""
    try:
        segment.flush_indexes()
    except OSError as error:
        # They stay in memory; the next block or checkpoint tries again.
        _log.warning("index entries not written yet", log=state.name, error=str(error))
