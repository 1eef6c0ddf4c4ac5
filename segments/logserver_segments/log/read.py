"""Reading: at once what is in memory, with a worker's help what is not, and past an index that can't be trusted."""

from collections.abc import Awaitable

from logserver_segments.errors import OffsetOutOfRange
from logserver_segments.index import IndexDamaged
from logserver_segments.log.indexes import rebuild
from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger
from logserver_segments.reading import (
    BEGIN,
    BadBatch,
    ColdData,
    Fetch,
    Slice,
    Start,
    check_end,
    cut_slice,
    find_batch,
    read_slice,
)
from logserver_segments.segment import Segment

_log = get_logger("logserver.segments")


def read(state: LogState, offset: int, max_bytes: int, committed_only: bool) -> Slice | Awaitable[Slice]:
    """Returns committed batches; see `PartitionLog.read`."""
    if state.offline is not None:
        state.check_online()
    if offset < state.start or offset > state.end:
        raise OffsetOutOfRange(
            f"offset {offset} of {state.name} is out of range: its records go from {state.start} to {state.end}"
        )
    segments = state.segments
    number = segments.number_of(offset)
    limit = state.last_stable_offset if committed_only else state.committed.offset
    while offset < limit:
        segment = segments.items[number]
        try:
            if not segment.checked:
                segment.check_indexes(state.next_base(number), wait=False)
            start = segment.start_at_or_before(offset)
            end = stable_end(state, segment) if committed_only else state.readable_end(segment)
            found = read_slice(segment.fetcher(), start, end, offset, max_bytes, segment.boundary_at_or_before)
            check_end(found.next_offset, min(limit, state.next_base(number)))
        except ColdData:
            return _read_cold(state, segment, offset, max_bytes, committed_only)
        except (IndexDamaged, BadBatch) as error:
            return _read_after_rebuild(state, segment, offset, max_bytes, committed_only, error)
        except OSError as error:
            raise state.read_failed(error) from error
        if found.data:
            return found
        # Nothing from this offset on in the segment (compacted away): the next one goes on.
        offset = min(state.next_base(number), limit)
        number += 1
    return Slice(b"", offset)


def stable_end(state: LogState, segment: Segment) -> int:
    """Returns the position in a segment where what is before the last stable offset ends.

    Raises:
        ColdData, IndexDamaged, BadBatch, OSError: looking for it met that.
    """
    offset = state.last_stable_offset
    if offset == state.committed.offset:
        return state.readable_end(segment)
    if segment.base_offset >= offset:
        return 0
    if state.offset_behind(segment) <= offset:
        return segment.size
    known = state.stable
    if known is not None and known[0] == offset and known[1] is segment:
        return known[2]
    start = segment.start_at_or_before(offset)
    found = find_batch(segment.fetcher(), start, segment.size, offset)
    # None: compaction has taken what was there, to the segment's end.
    position = found.position if found is not None else segment.size
    state.stable = offset, segment, position
    return position


async def _read_cold(state: LogState, segment: Segment, offset: int, max_bytes: int, committed_only: bool) -> Slice:
    # Time may have passed since this was asked for.
    if _has_changed(state, segment, offset):
        return await _again(state, offset, max_bytes, committed_only)
    behind = state.offset_behind(segment)
    try:
        # Opened on this thread, whose the pool of open files is. The file stays when the log goes on without it.
        fetch = segment.blocking_fetcher()
        start = await _position_cold(state, segment, offset)
        if start is None:
            return await _again(state, offset, max_bytes, committed_only)
        found = await _read_on_worker(state, segment, fetch, start, offset, max_bytes, committed_only)
    except (IndexDamaged, BadBatch) as error:
        return await _read_after_rebuild(state, segment, offset, max_bytes, committed_only, error)
    except OSError as error:
        if _has_changed(state, segment, offset):
            return await _again(state, offset, max_bytes, committed_only)
        raise state.read_failed(error) from error
    return found if found.data else await _read_behind(state, behind, max_bytes, committed_only)


async def _read_on_worker(
    state: LogState, segment: Segment, fetch: Fetch, start: Start, offset: int, max_bytes: int, committed_only: bool
) -> Slice:
    behind = state.offset_behind(segment)
    found = await state.workers.run(read_slice, fetch, start, state.readable_end(segment), offset, max_bytes)
    if committed_only and found.next_offset > state.last_stable_offset:
        # Where that is in the segment would have to be looked for on the disk.
        found = cut_slice(found, state.last_stable_offset)
    check_end(found.next_offset, min(state.committed.offset, behind))
    return found


def _has_changed(state: LogState, segment: Segment, offset: int) -> bool:
    """Whether the log has gone offline, or another segment holds the offset now."""
    return state.offline is not None or state.segment_at(offset) is not segment


async def _position_cold(state: LogState, segment: Segment, offset: int) -> Start | None:
    """Returns where to begin to walk; None if the log has gone on without the segment meanwhile."""
    if not segment.checked:
        await state.workers.run(segment.warm_index_ends)
        if _has_changed(state, segment, offset):
            return None
        segment.check_indexes(state.offset_behind(segment))
    try:
        return segment.start_at_or_before(offset)
    except ColdData:
        content = await state.workers.run(segment.index.warm)
    if _has_changed(state, segment, offset):
        return None
    return segment.start_at_or_before(offset, content=content)


async def _again(state: LogState, offset: int, max_bytes: int, committed_only: bool) -> Slice:
    found = read(state, offset, max_bytes, committed_only)
    return found if isinstance(found, Slice) else await found


async def _read_behind(state: LogState, behind: int, max_bytes: int, committed_only: bool) -> Slice:
    """Goes on behind a segment that had nothing; the log start may have been raised meanwhile."""
    limit = state.last_stable_offset if committed_only else state.committed.offset
    return await _again(state, max(min(behind, limit), state.start), max_bytes, committed_only)


async def _read_after_rebuild(
    state: LogState, segment: Segment, offset: int, max_bytes: int, committed_only: bool, reason: Exception
) -> Slice:
    """Reads by walking the whole segment, because its index can't be trusted, and makes the index again."""
    if _has_changed(state, segment, offset):
        return await _again(state, offset, max_bytes, committed_only)
    _log.warning("index made again", log=state.name, segment=segment.path, reason=str(reason))
    behind = state.offset_behind(segment)
    try:
        fetch = segment.blocking_fetcher()
        found = await _read_on_worker(state, segment, fetch, BEGIN, offset, max_bytes, committed_only)
        await rebuild(state, segment)
    except BadBatch as error:
        raise state.damaged(segment, error) from None
    except OSError as error:
        if _has_changed(state, segment, offset):
            return await _again(state, offset, max_bytes, committed_only)
        raise state.read_failed(error) from error
    return found if found.data else await _read_behind(state, behind, max_bytes, committed_only)
