"""The files of a log's producer states: when they are written, and when they go."""

from collections.abc import Iterable

from logserver_segments.log.state import LogState
from logserver_segments.segment import SNAPSHOT_SUFFIX, file_name


def _path(state: LogState, offset: int) -> str:
    return f"{state.directory}/{file_name(offset, SNAPSHOT_SUFFIX)}"


def take_snapshot(state: LogState) -> None:
    """Writes producer states as of the log end offset, unless the file is there already.

    Raises:
        OSError: the disk refused.
    """
    end = state.end
    if end in state.snapshots and not state.producers.changed:
        return
    state.snapshots_durable_to = min(state.snapshots_durable_to, end - 1)
    state.snapshots_checkpointed_to = min(state.snapshots_checkpointed_to, end - 1)
    state.resources.disk.write_file(_path(state, end), state.producers.to_snapshot(), durable=False)
    state.producers.changed = False
    if end not in state.snapshots:
        state.snapshots.append(end)


def sync_snapshot(state: LogState, offset: int) -> bool:
    """Makes the snapshot as of an offset durable, but for its directory entry; returns whether that was needed.

    Raises:
        OSError: the disk refused.
    """
    if offset <= state.snapshots_durable_to or offset not in state.snapshots or not len(state.producers):
        return False
    state.resources.disk.open(_path(state, offset)).sync()
    return True


def prune_snapshots(state: LogState) -> None:
    """Removes snapshots that neither begin a segment nor are the newest; to be called when a checkpoint is flushed."""
    state.snapshots_durable_to = max(state.snapshots_durable_to, state.snapshots_checkpointed_to)
    bases = set(state.segments.bases)
    _remove(state, [offset for offset in state.snapshots[:-1] if offset not in bases])


def remove_snapshots_before(state: LogState, offset: int) -> None:
    """Removes producer states as of offsets before one, which nothing needs any more."""
    _remove(state, [known for known in state.snapshots if known < offset])


def remove_snapshots_behind(state: LogState, end: int) -> None:
    """Removes producer states of what is about to be cut, for good: they must not be taken for what follows."""
    stale = [offset for offset in state.snapshots if offset > end]
    _remove(state, stale)
    if stale:
        state.resources.disk.sync_directory(state.directory)


def _remove(state: LogState, offsets: Iterable[int]) -> None:
    for offset in offsets:
        state.resources.disk.remove(_path(state, offset))
        state.snapshots.remove(offset)
