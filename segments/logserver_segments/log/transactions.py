"""The transactions of a log: their ends, and which of them were aborted."""

from collections.abc import Awaitable

from logserver_records.batch import BatchHeader
from logserver_records.control import EndTransactionMarker

from logserver_segments.errors import CorruptRecords
from logserver_segments.index import IndexDamaged
from logserver_segments.log.indexes import try_to_flush
from logserver_segments.log.state import LogState
from logserver_segments.logs import get_logger
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.producer_state import ProducerStates
from logserver_segments.reading import ColdData
from logserver_segments.rebuild import Part, find_aborted, load_snapshot
from logserver_segments.segment import Segment

_log = get_logger("logserver.segments")


def take_marker(
    state: LogState, segment: Segment, header: BatchHeader, marker: EndTransactionMarker | None, now_ms: int
) -> None:
    """Takes up a control batch that was appended to a segment; None is one that ends nothing."""
    if marker is None:
        return
    aborted = state.producers.end_transaction(header, marker, now_ms)
    if aborted is not None:
        segment.aborted.append(aborted)
        if len(segment.aborted) == 1:
            state.segments.aborted_changed()
        try_to_flush(state, segment)


def aborted_transactions(
    state: LogState, start_offset: int, end_offset: int
) -> list[AbortedTransaction] | Awaitable[list[AbortedTransaction]]:
    """Returns aborted transactions; see `PartitionLog.aborted_transactions`."""
    state.check_online()
    found: list[AbortedTransaction] = []
    for segment in state.segments.with_aborted(start_offset):
        try:
            part, is_complete = _overlapping(state, segment, start_offset, end_offset, wait=False)
        except (ColdData, IndexDamaged):
            return _aborted_cold(state, start_offset, end_offset)
        except OSError as error:
            raise state.read_failed(error) from error
        found += part
        if is_complete:
            break
    return found


def _overlapping(
    state: LogState, segment: Segment, start_offset: int, end_offset: int, *, wait: bool
) -> tuple[list[AbortedTransaction], bool]:
    return segment.aborted.overlapping(start_offset, end_offset, state.offset_behind(segment), wait=wait)


async def _aborted_cold(state: LogState, start_offset: int, end_offset: int) -> list[AbortedTransaction]:
    """As `aborted_transactions`, with a worker's help for what is not in memory or has to be made again."""
    # Segments come and go while others work; then it is begun anew.
    warmed: set[Segment] = set()
    while True:
        state.check_online()
        found: list[AbortedTransaction] = []
        for segment in state.segments.with_aborted(start_offset):
            try:
                part, is_complete = _overlapping(state, segment, start_offset, end_offset, wait=segment in warmed)
            except ColdData:
                warmed.add(segment)
                await _warm(state, segment)
                break
            except IndexDamaged as error:
                _log.warning("transaction index made again", log=state.name, segment=segment.path, reason=str(error))
                await remake(state, segment)
                break
            except OSError as error:
                raise state.read_failed(error) from error
            found += part
            if is_complete:
                return found
        else:
            return found


async def _warm(state: LogState, segment: Segment) -> None:
    """Reads a transaction index on a worker, so that it is in memory; what goes wrong tells the next use."""
    try:
        file, size = segment.aborted.file_to_warm(), segment.aborted.file_bytes
        await state.workers.run(file.read, size, 0)
    except (IndexDamaged, OSError):
        return


async def remake(state: LogState, segment: Segment) -> None:
    """Makes the transaction index of a segment again, on a worker.

    If the log goes on without it meanwhile nothing is done, and the next use looks again.

    Raises:
        CorruptRecords: the log is damaged.
        ReadFailed: the disk refused.
    """
    disk, truncations = state.resources.disk, state.truncations
    states = ProducerStates(state.config.max_producers)
    items = state.segments.items[: state.segments.number_of(segment.base_offset) + 1]
    try:
        begin = load_snapshot(states, state.directory, disk, state.snapshots, segment.base_offset)
        if begin is None:
            begin = items[0].base_offset
        items = items[state.segments.number_of(begin) :]
        parts = [Part(part.path, part.base_offset, part.size) for part in items]
        found = await state.workers.run(find_aborted, states, begin, parts, disk)
    except (CorruptRecords, OSError) as error:
        if _are_in(state, items, truncations):
            raise (state.read_failed(error) if isinstance(error, OSError) else error) from None
        return
    if _are_in(state, items, truncations):
        try:
            segment.aborted.replace(found)
        except OSError as error:
            # It is in memory.
            _log.warning("transaction index not written yet", log=state.name, error=str(error))
        state.segments.aborted_changed()


def _are_in(state: LogState, segments: list[Segment], truncations: int) -> bool:
    """Whether segments are as they were: neither replaced nor removed nor cut."""
    return state.offline is None and truncations == state.truncations and set(segments) <= set(state.segments.items)
