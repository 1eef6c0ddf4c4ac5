"""From an engine to what is written down of it, and back."""

from collections.abc import Iterable, Iterator
from typing import Final

from logserver_segments.seams import Random

from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.events import Events
from logserver.coordinator.delivery.offset_ranges import OffsetRanges
from logserver.coordinator.delivery.order import Order
from logserver.coordinator.delivery.policy import Policy
from logserver.coordinator.delivery.reserve import Reserve
from logserver.coordinator.delivery.stored import Extras, Stored, StoredRange, StoredState
from logserver.coordinator.delivery.unsettled import NEVER, NOBODY, PAGE_BITS, Delivery, State

_PAGE = 1 << PAGE_BITS

_HELD: Final = State.HELD
_AVAILABLE: Final = StoredState.AVAILABLE
_NONE: Final = StoredRange(NEVER, -2, StoredState.ARCHIVED, 0)
# As `_make` does, without the detour.
_Range: Final = StoredRange
_Extras: Final = Extras
_new_range: Final = tuple.__new__
_new_extras: Final = tuple.__new__


def take_delta(engine: Engine) -> Stored:
    """Returns what has changed since the last time, and takes it as written."""
    changed, archived = engine.changes.take()
    start = engine.start
    ranges: list[StoredRange] = []
    for first, last in changed:
        if last >= start:
            _describe(engine, max(first, start), last, archived, ranges)
    return _stored(engine, start, ranges)


def take_snapshot(engine: Engine) -> Stored:
    """Returns the whole state, and takes it as written."""
    _, archived = engine.changes.take()
    start = engine.start
    ranges: list[StoredRange] = []
    end = max(engine.offered_end, engine.known_end)
    if start < end:
        _describe(engine, start, end - 1, archived, ranges)
    return _stored(engine, start, ranges)


def _stored(engine: Engine, start: int, ranges: list[StoredRange]) -> Stored:
    named = {found.extras.intent for found in ranges}
    return Stored(
        start,
        engine.epoch,
        engine.reserve.end,
        engine.last_intent,
        ranges,
        [move for intent, move in engine.moves.items() if intent in named],
    )


def _describe(engine: Engine, first: int, last: int, archived: OffsetRanges, ranges: list[StoredRange]) -> None:
    """Adds the state of a range of offsets."""
    at = first
    before = ranges[-1] if ranges else _NONE
    for found in engine.unsettled.within(first, last):
        # Written out, for there may be a hundred thousand of them.
        begin = found.first if found.first > at else at
        if begin > at:
            _add_settled(engine, at, begin - 1, archived, ranges)
        held = found.state is _HELD
        move = found.move
        extras = _new_extras(
            _Extras,
            (
                found.failures,
                found.first_ms,
                found.last_ms,
                found.number,
                held,
                held and found.owner == NOBODY,
                found.redelivered,
                found.until_ms,
                move.intent if move is not None else NEVER,
            ),
        )
        end = found.last if found.last < last else last
        _, before_last, state, acquisitions, before_extras = before
        if (
            before_last + 1 == begin
            and state is _AVAILABLE
            and acquisitions == found.acquisitions
            and before_extras == extras
        ):
            before = ranges[-1] = before._replace(last=end)
        else:
            before = _new_range(_Range, (begin, end, _AVAILABLE, found.acquisitions, extras))
            ranges.append(before)
        at = end + 1
    _add_settled(engine, at, last, archived, ranges)


def _add_settled(engine: Engine, first: int, last: int, archived: OffsetRanges, ranges: list[StoredRange]) -> None:
    if first > last:
        return
    for begin, end in engine.settled_within(first, last):
        if not len(archived):
            _add(ranges, StoredRange(begin, end, StoredState.ACKNOWLEDGED, 0))
            continue
        at = begin
        for good_first, good_last in archived.missing(begin, end):
            if at < good_first:
                _add(ranges, StoredRange(at, good_first - 1, StoredState.ARCHIVED, 0))
            _add(ranges, StoredRange(good_first, good_last, StoredState.ACKNOWLEDGED, 0))
            at = good_last + 1
        if at <= end:
            _add(ranges, StoredRange(at, end, StoredState.ARCHIVED, 0))


def _add(ranges: list[StoredRange], found: StoredRange) -> None:
    if ranges:
        before = ranges[-1]
        if before.last + 1 == found.first and before[2:] == found[2:]:
            ranges[-1] = before._replace(last=found.last)
            return
    ranges.append(found)


def restored(
    stored: Stored,
    log_start: int,
    log_end: int,
    policy: Policy,
    order: Order,
    random: Random,
    changes: Changes,
    events: Events | None,
    *,
    now_ms: int,
) -> Engine:
    """Returns an engine that goes on from what was written.

    Locks that ended with their owners are over: such records come again. What was perhaps delivered comes again marked
    so. What the log does not have (any more, or since it was cut after a crash) is forgotten.

    Args:
        log_start, log_end: the offsets that the log has, the end exclusive.
    """
    start = min(max(stored.start, log_start), log_end)
    engine = Engine(start, stored.epoch + 1, policy, order, random, changes, events)
    engine.last_intent = stored.last_intent
    engine.redelivered_end = max(start, min(stored.reserve_end, log_end))
    engine.reserve = Reserve(engine.redelivered_end)
    moves = {move.intent: move for move in stored.moves}
    for found in _clipped(stored.ranges, start, log_end):
        if found.state is not StoredState.AVAILABLE:
            engine.settled_ahead.add(found.first, found.last)
            continue
        for first, last in _paged(found.first, found.last):
            move = moves.get(found.extras.intent)
            if move is not None:
                move.perhaps_done = move.from_offset != NEVER
            engine.restore(_delivery(first, last, found), move)
    if stored.ranges:
        engine.known_end = max(start, min(stored.ranges[-1].last + 1, log_end))
    return engine


def _delivery(first: int, last: int, found: StoredRange) -> Delivery:
    extras = found.extras
    made = Delivery(first, last, State.READY, 0)
    made.acquisitions = found.acquisitions
    made.failures = extras.failures
    made.first_ms, made.last_ms = extras.first_ms, extras.last_ms
    made.number = extras.number
    made.until_ms = extras.until_ms
    made.redelivered = extras.redelivered or found.acquisitions > 0
    if extras.held and extras.outlives:
        made.state = State.HELD
    elif extras.until_ms != NEVER and not extras.held:
        made.state = State.DELAYED
    else:
        made.until_ms = NEVER
    return made


def _clipped(ranges: Iterable[StoredRange], start: int, end: int) -> Iterator[StoredRange]:
    for found in ranges:
        if found.last >= start and found.first < end:
            yield found._replace(first=max(found.first, start), last=min(found.last, end - 1))


def _paged(first: int, last: int) -> Iterator[tuple[int, int]]:
    while first <= last:
        end = min(last, first | (_PAGE - 1))
        yield first, end
        first = end + 1
