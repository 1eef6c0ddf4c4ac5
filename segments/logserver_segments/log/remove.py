"""Removing the files of segments: at once, or under another name first."""

from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger
from logserver_segments.segment import DELETED_SUFFIX, Segment

_log = get_logger("logserver.segments")


def remove_behind(state: LogState, number: int) -> None:
    """Removes the segments behind one, which `truncate` then makes the active one. They are gone for good when
    this returns.

    Raises:
        OSError: the disk refused; some may be gone.
    """
    segments, disk = state.segments, state.resources.disk
    if number + 1 == len(segments.items):
        return
    while number + 1 < len(segments.items):
        last = segments.active
        last.release()
        for path in last.paths():
            disk.remove(path)
        segments.remove_last()
    # Before anything else is cut or written: they must not come back behind other records.
    disk.sync_directory(state.directory)


def remove_later(state: LogState, segment: Segment, now_ms: int) -> None:
    """Renames a segment's files, which go for good after `file.delete.delay.ms`."""
    disk = state.resources.disk
    segment.release()
    renamed = []
    for path in segment.paths():
        try:
            disk.rename(path, path + DELETED_SUFFIX)
        except FileNotFoundError:
            continue
        renamed.append(path + DELETED_SUFFIX)
    state.doomed.append((now_ms + state.config.file_delete_delay_ms, renamed))


def take_doomed(state: LogState, now_ms: int) -> list[str]:
    """Returns the paths of the files whose delay is over, for the caller to remove them for good; what he does not the
    next opening does."""
    due = []
    while state.doomed and state.doomed[0][0] <= now_ms:
        due += state.doomed.pop(0)[1]
    return due


def remove_doomed(state: LogState, now_ms: int) -> None:
    """Removes for good the files whose delay is over."""
    for path in take_doomed(state, now_ms):
        state.resources.disk.remove(path)


def remove_all_doomed(state: LogState) -> None:
    """Removes for good the files whose delay is not over yet, too; as far as the disk lets us."""
    doomed, state.doomed = state.doomed, []
    for path in (path for _, paths in doomed for path in paths):
        try:
            state.resources.disk.remove(path)
        except OSError as error:
            # The next opening removes it.
            _log.warning("file not removed", log=state.name, path=path, error=str(error))
