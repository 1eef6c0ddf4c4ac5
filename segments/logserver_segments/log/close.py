"""Checkpoints of a log, and its end."""

from logserver_segments.log.epochs import write_epochs
from logserver_segments.log.remove import remove_all_doomed
from logserver_segments.log.snapshots import take_snapshot
from logserver_segments.log.state import LogState


def prepare_checkpoint(state: LogState) -> int:
    """Writes out what is only in memory; returns the log end offset, the recovery point once all is synced.

    Raises:
        OSError: the disk refused; the old recovery point stays.
    """
    active = state.segments.active
    # Nothing was added to what has not even been checked.
    if active.checked:
        active.flush_indexes()
    if state.end:
        take_snapshot(state)
    state.snapshots_checkpointed_to = state.end
    if not state.epochs_written:
        write_epochs(state)
    return state.end


def prepare_close(state: LogState) -> int:
    """As `prepare_checkpoint`, for a clean stop: the time index then also tells the largest timestamp."""
    active = state.segments.active
    if active.checked:
        active.close_time_index()
    return prepare_checkpoint(state)


def close(state: LogState, reason: str) -> None:
    """Lets go of all files; every later call raises LogOffline. Flushing is the caller's part."""
    state.committer.discard(state.owner)
    if state.offline is None:
        state.offline = reason
    for segment in state.segments.items:
        segment.release()
    remove_all_doomed(state)
