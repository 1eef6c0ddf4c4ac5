"""Going offline: what was appended and can't become durable is given up."""

from logserver_segments.committer import Loss, LossReason
from logserver_segments.log.remove import remove_behind
from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger
from logserver_segments.reading import BEGIN, BadBatch, find_batch

_log = get_logger("logserver.segments")


def go_offline(state: LogState, loss: Loss) -> None:
    """Takes the log out of use, because appends since the last commit can't become durable.

    What lies behind the committed offset is cut off if the disk still lets us: after a failed fsync the page cache may
    show data that the disk does not have.
    """
    if state.offline is not None:
        return
    state.offline = loss.message
    if loss.reason is LossReason.FAILED:
        state.resources.lost.append(state.name)
    _log.error("log offline", log=state.name, reason=loss.message, kept_up_to=state.committed.offset)
    state.committer.discard(state.owner)
    try:
        _cut_uncommitted(state)
    except (OSError, BadBatch) as error:
        _log.error("the tail behind the last durable offset could not be cut off", log=state.name, reason=str(error))
    for segment in state.segments.items:
        segment.release()
    if state.listener is not None:
        state.listener.log_lost(loss)


def _cut_uncommitted(state: LogState) -> None:
    """Cuts the files at the committed offset. Indexes and producer states are left to the next opening.

    Raises:
        OSError: the disk refused.
        BadBatch: the segment is damaged.
    """
    end = state.committed
    if end.offset == state.end:
        return
    number = state.segments.number_of(end.offset)
    remove_behind(state, number)
    segment = state.segments.active
    position = 0
    if segment.base_offset == end.segment_base:
        position = end.position
    elif segment.base_offset != end.offset:
        found = find_batch(segment.blocking_fetcher(), BEGIN, segment.size, end.offset)
        position = found.position if found is not None else segment.size
    segment.truncate(position)
    state.end = end.offset
