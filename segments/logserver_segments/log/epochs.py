"""The file of a log's leader epochs."""

from logserver_segments.checkpoints import LEADER_EPOCHS
from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger

_log = get_logger("logserver.segments")


def assign_epoch(state: LogState, epoch: int, start_offset: int) -> None:
    """Notes that batches from `start_offset` on are of a leader epoch."""
    if state.epochs.assign(epoch, start_offset):
        try_to_write_epochs(state)


def try_to_write_epochs(state: LogState) -> None:
    """Writes the file; where the disk refuses, the next checkpoint tries again.

    Not synced here: recovery learns epochs from the batches, and checkpoints sync the file system.
    """
    state.epochs_written = False
    try:
        write_epochs(state)
    except OSError as error:
        _log.warning("leader epochs not written yet", log=state.name, error=str(error))


def write_epochs(state: LogState) -> None:
    """Writes the file.

    Raises:
        OSError: the disk refused.
    """
    state.resources.disk.write_file(f"{state.directory}/{LEADER_EPOCHS}", state.epochs.to_file(), durable=False)
    state.epochs_written = True
