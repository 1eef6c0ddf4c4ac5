"""Committing: what is appended is handed to the committer, which reports what is durable."""

from logserver_segments.committer import LogEnd
from logserver_segments.log.state import LogState
from logserver_segments.seams import File


def commit(state: LogState, file: File, records: int) -> None:
    """Hands what was just appended to the committer, at once or when `flush.messages` is reached."""
    flush_messages = state.config.flush_messages
    if flush_messages == 1:
        hand_over(state, file)
        return
    # As Kafka: appended counts as committed, flushing follows.
    state.unflushed += records
    _advance(state, state.log_end())
    if state.unflushed >= flush_messages:
        hand_over(state, file)


def hand_over(state: LogState, file: File) -> None:
    """Asks that everything before the log end offset becomes durable, of which `file` has the newest part."""
    state.unflushed = 0
    state.unflushed_since_ms = None
    new_in = None
    if state.new_file:
        state.new_file = False
        new_in = state.directory
    state.committer.dirty(state.owner, state.log_end(), file, new_in)


def hand_over_again(state: LogState) -> None:
    """Hands over what is not committed yet, after a truncation took back what had been handed over."""
    if state.committed.offset < state.end:
        for segment in state.segments.items[state.segments.number_of(state.committed.offset) :]:
            hand_over(state, segment.file)


def flush_if_due(state: LogState, monotonic_ms: float) -> None:
    """Flushes appends that `flush.ms` says have waited long enough; to be called now and then."""
    if not state.unflushed or state.offline is not None:
        return
    if state.unflushed_since_ms is None:
        state.unflushed_since_ms = monotonic_ms
    if monotonic_ms - state.unflushed_since_ms >= state.config.flush_ms:
        hand_over(state, state.segments.active.file)


def take_report(state: LogState, end: LogEnd) -> None:
    """Takes the committer's report that everything before `end` is durable."""
    if end.offset > state.committed.offset:
        _advance(state, end)


def _advance(state: LogState, end: LogEnd) -> None:
    state.committed = end
    unstable = state.producers.unstable
    if unstable.ended:
        unstable.committed(end.offset)
    if state.listener is not None:
        state.listener.log_committed(end.offset)
