"""Truncation: dropping the end of a log that stays in use."""

from logserver_segments.errors import WriteFailed
from logserver_segments.index import IndexDamaged
from logserver_segments.log.commit import hand_over_again
from logserver_segments.log.epochs import try_to_write_epochs
from logserver_segments.log.indexes import rebuild_now
from logserver_segments.log.remove import remove_behind
from logserver_segments.log.snapshots import remove_snapshots_behind
from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger
from logserver_segments.rebuild import load_producers, note_last_epoch
from logserver_segments.scan import ScanStopped, scan
from logserver_segments.segment import Segment

_log = get_logger("logserver.segments")


def truncate(state: LogState, offset: int) -> None:
    """Drops everything from `offset` on, with the producer state it caused; for good when this returns.

    A batch that holds `offset` goes as a whole. The log then ends behind the last batch that stays.

    Raises:
        WriteFailed: the disk refused; the log is offline.
        CorruptRecords: the batch boundary can't be found; the log is as before.
        OSError: the recovery point could not be lowered first, or a compaction not be undone; the log is as before.
    """
    if offset >= state.end:
        return
    number = state.segments.number_of(offset)
    segment = state.segments.items[number]
    end, size = _boundary(state, segment, offset)
    if state.undo_swap is not None:
        state.undo_swap()
    if state.before_truncation is not None:
        state.before_truncation(end)
    state.committer.discard(state.owner)
    state.truncations += 1
    # What the committer would have synced for it is dropped with the rest.
    state.new_file = True
    state.stable = None
    ended = state.producers.unstable.ended_before(end)
    try:
        remove_snapshots_behind(state, end)
        remove_behind(state, number)
        if size < segment.size or segment.sealed:
            segment.truncate(size)
        state.end = end
        state.start = min(state.start, end)
        rebuild_now(state, segment)
        _cut_aborted(state, segment, end)
        disk, segments = state.resources.disk, state.segments.items
        if state.epochs.truncate_end(end):
            if state.start < end:
                note_last_epoch(state.epochs, segments, end)
            try_to_write_epochs(state)
        load_producers(state.producers, state.directory, disk, segments, state.snapshots, end)
        state.producers.unstable.set_ended(ended)
    except OSError as error:
        state.offline = f"it could not be truncated to offset {offset}: {error.strerror or error}"
        _log.error("log offline", log=state.name, reason=state.offline)
        raise WriteFailed(f"{state.name}: {state.offline}") from error
    state.committed = min(state.committed, state.log_end())
    state.producers.unstable.committed(state.committed.offset)
    hand_over_again(state)


def _cut_aborted(state: LogState, segment: Segment, end: int) -> None:
    try:
        segment.aborted.truncate(end)
    except IndexDamaged as error:
        segment.aborted.distrust(str(error))
        segment.aborted.flush()
    state.segments.aborted_changed()


def _boundary(state: LogState, segment: Segment, offset: int) -> tuple[int, int]:
    """Returns offset and position where the batches of a segment end that lie before an offset as a whole."""
    end, size = segment.base_offset, 0
    try:
        for position, header in scan(segment.file, 0, segment.size, next_offset=end):
            if header.last_offset >= offset:
                break
            end, size = header.next_offset, position + header.size
    except ScanStopped as error:
        raise state.damaged(segment, error) from None
    return end, size
