"""The delivery of one partition's records to those who share the work on them.

Every offset below `offered_end` is in one of three places: nobody has had it (it stands in the order), it is unsettled
(somebody has or had it), or neither, and then it is settled. So what is settled costs nothing, and what waits in the
log costs nothing either: records are offered a few at a time.

A transition changes memory at once and is written down later, together with others; see `Changes`. Time comes with
each call, in milliseconds.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from logserver_segments.seams import Random

from logserver.coordinator.delivery.caution import Caution
from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.counts import Counts, Tally
from logserver.coordinator.delivery.credits import Credit
from logserver.coordinator.delivery.deadlines import Deadlines
from logserver.coordinator.delivery.events import Event, EventKind, Events
from logserver.coordinator.delivery.handles import ANY_NUMBER, Acquired, Acquisition, Check, Handle
from logserver.coordinator.delivery.moves import DELIVERY_LIMIT, Destination, Move
from logserver.coordinator.delivery.offset_ranges import OffsetRanges
from logserver.coordinator.delivery.order import Order, Position
from logserver.coordinator.delivery.policy import Acts, Policy
from logserver.coordinator.delivery.reserve import Reserve
from logserver.coordinator.delivery.unsettled import NEVER, NOBODY, PAGE_BITS, Delivery, State, Unsettled

_EPOCH_BITS: Final = 40
"""An acquisition's number is that of the time since the state was read, and in the lower bits one that counts."""


class Engine:
    """What becomes of the records of one partition for one queue.

    Args:
        start: offset of the first record that is for the queue.
        epoch: higher than any before for this partition of the queue; acquisition numbers are made from it.
        policy: may be replaced at any time.
        changes: collects what is to be written.
        events: collects the story of the records; None if nobody wants to know.
    """

    def __init__(
        self,
        start: int,
        epoch: int,
        policy: Policy,
        order: Order,
        random: Random,
        changes: Changes,
        events: Events | None = None,
    ) -> None:
        self.policy = policy
        self.changes = changes
        self.events = events
        self.end = start
        """Offset behind the last record that may be delivered; whoever offers keeps it up to date."""
        self.offered_end = start
        """Offset behind what has been offered."""
        self.tally = Tally()
        self.reserve = Reserve(start)
        self.redelivered_end = start
        """Below, somebody may have had records of which nothing else is known: before a crash."""
        self.moves: dict[int, Move] = {}
        """Those under way, by their intent numbers."""
        self.unsettled = Unsettled()
        self.epoch = epoch
        self._acquisitions = 0
        self.last_intent = 0
        self._order = order
        self._random = random
        self._deadlines = Deadlines(self.unsettled)
        self._owners: dict[str, dict[Delivery, None]] = {}
        self.settled_ahead = OffsetRanges()
        """What is settled though it has not been offered since the state was read."""
        self.known_end = start
        """Below, there may be such, and unsettled ones that have not been offered."""

    # Looking

    @property
    def start(self) -> int:
        """Offset of the first record that is not settled."""
        lowest = self.unsettled.lowest()
        start = lowest.first if lowest is not None and lowest.first < self.offered_end else self.offered_end
        fresh = self._order.lowest_fresh()
        if fresh is not None:
            return min(start, fresh)
        return self.settled_ahead.end_of(start) if start == self.offered_end else start

    @property
    def acquired_end(self) -> int:
        """Offset behind the last record that somebody has had, or that was settled without that."""
        fresh = self._order.lowest_fresh()
        return self.offered_end if fresh is None else fresh

    def holds(self, first: int, last: int, owner: str) -> bool:
        """Whether somebody holds all records of a range of offsets, both ends inclusive."""
        return bool(self._named(Handle(first, last, ANY_NUMBER), Check.STRICT, owner))

    def is_waiting(self, offset: int) -> bool:
        """Whether nobody has had the record at an offset, which is not unsettled, and somebody may."""
        if offset >= self.offered_end:
            return offset < self.end and offset not in self.settled_ahead
        return self._order.has_fresh(offset)

    def state_of(self, offset: int) -> State | None:
        """Returns what becomes next of the record at an offset, None if it is settled; a hole of what was not looked at
        is as a record there."""
        found = self.unsettled.find(offset)
        if found is not None:
            return found.state
        return State.READY if self.is_waiting(offset) else None

    def waiting(self) -> Iterator[tuple[int, int]]:
        """Yields the offsets, both ends inclusive, of what nobody has had; also holes of what was not looked at."""
        for run in self._order.fresh():
            yield run.first, run.last
        if self.offered_end < self.end:
            known = OffsetRanges()
            if self.offered_end < self.known_end:
                self._add_known(known, self.offered_end, self.known_end - 1)
            yield from known.missing(self.offered_end, self.end - 1)

    def first_ready(self) -> int | None:
        """Returns the lowest offset that is ready."""
        returned = next((found.first for found in self.unsettled if found.state is State.READY), None)
        waiting = next((first for first, _ in self.waiting()), None)
        return min((first for first in (returned, waiting) if first is not None), default=None)

    @property
    def next_ms(self) -> int | None:
        """When to call `expire`, or before; None if there is nothing to expire."""
        return self._deadlines.next_ms

    def counts(self) -> Counts:
        """Returns how many records are where."""
        waiting = self.end - self.offered_end
        known_end = min(self.known_end, self.end)
        if self.offered_end < known_end:
            known = OffsetRanges()
            self._add_known(known, self.offered_end, known_end - 1)
            waiting -= sum(min(last, known_end - 1) - max(first, self.offered_end) + 1 for first, last in known)
        return self.tally.counts(max(waiting, 0))

    def has_ready(self) -> bool:
        """Whether there is something to acquire of what was offered."""
        return self.offered_ready() > 0

    def offered_ready(self) -> int:
        """Returns how many records could be acquired at once."""
        return self.tally.ready + max(min(self.tally.fresh, self._room()), 0)

    def _room(self) -> int:
        return self.policy.max_unsettled - self.tally.unsettled

    # Records come in

    def offer(
        self, first: int, last: int, holes: Iterable[tuple[int, int]] = (), columns: Any = None, *, size: int = 0
    ) -> None:
        """Takes in the next records: offsets from `offered_end` on, both ends inclusive.

        Args:
            holes: ranges of offsets, in order, that have nothing to deliver: control records, aborted ones, what is
                filtered out. They are settled.
            columns: what the rule of the order wants to know about the records.
            size: of the records in bytes.

        Raises:
            ValueError: the rule has no use for the columns.
        """
        assert first >= self.offered_end, (first, self.offered_end)
        records = last - first + 1
        pieces: Iterable[tuple[int, int]] = ((first, last),)
        if holes or first < self.known_end:
            not_fresh = OffsetRanges()
            for begin, end in holes:
                not_fresh.add(begin, end)
                self.changes.note(begin, end, urgent=False)
            if first < self.known_end:
                self._add_known(not_fresh, first, last)
                self.settled_ahead.drop_below(last + 1)
            pieces = not_fresh.missing(first, last)
        for begin, end in pieces:
            share = size * (end - begin + 1) // records
            self._order.offer(begin, end, share, columns)
            self.tally.fresh += end - begin + 1
            self.tally.ready_bytes += share
        self.offered_end = last + 1
        self.end = max(self.end, last + 1)

    def take_back(self) -> None:
        """Forgets what was offered and nobody has had: it is to be offered once more, from `offered_end` on."""
        first, end = self._order.lowest_fresh(), self.offered_end
        if first is None:
            return
        settled = tuple(self.settled_within(first, end - 1))
        records, size = self._order.take_out(first, end - 1)
        self.tally.fresh -= records
        self.tally.ready_bytes -= size
        for begin, last in settled:
            self.settled_ahead.add(begin, last)
        self.offered_end = first
        self.known_end = max(self.known_end, end)

    def _add_known(self, ranges: OffsetRanges, first: int, last: int) -> None:
        for begin, end in self.settled_ahead.within(first, last):
            ranges.add(begin, end)
        for found in self.unsettled.within(first, last):
            ranges.add(found.first, found.last)

    def restore(self, delivery: Delivery, move: Move | None) -> None:
        """Takes in what somebody had before the state was read; READY, HELD by nobody, or DELAYED."""
        self.unsettled.add(delivery)
        if move is not None:
            delivery.state = State.MOVING
            delivery.until_ms = NEVER
            delivery.move = self.moves[move.intent] = move
            self.tally.moving += delivery.records
        elif delivery.state is State.READY:
            self._make_ready(delivery, Position.ORIGINAL)
        else:
            # What is over by now ends as all others do.
            self._deadlines.add(delivery.until_ms, delivery.first, delivery.last)
            if delivery.state is State.HELD:
                self.tally.held += delivery.records
            else:
                self.tally.delayed += delivery.records

    def take_out_spent(self, now_ms: int) -> None:
        """Takes out what was restored and has been tried often enough: who had it for the last time has gone with the
        server, so nobody has given it back."""
        for delivery in self.unsettled:
            if delivery.state is State.READY and self._is_over(delivery, Acts.AT_RELEASE):
                self._leave(delivery)
                self._take_out(delivery, DELIVERY_LIMIT, now_ms)

    def close_reserve(self) -> None:
        """Writes down exactly how far records were delivered: there will be no crash, but a stop."""
        self.reserve = Reserve(max(self.acquired_end, self.redelivered_end))
        self.changes.note_urgent()

    def settled_within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yields what is settled of a range of offsets, both ends inclusive."""
        fresh = self._order.lowest_fresh()
        if (
            last < self.offered_end
            and (fresh is None or fresh > last)
            and next(self.unsettled.within(first, last), None) is None
        ):
            yield first, last
            return
        others = OffsetRanges()
        for found in self.unsettled.within(first, last):
            others.add(found.first, found.last)
        for run in self._order.fresh():
            others.add(run.first, run.last)
        yield from others.missing(first, min(last, self.offered_end - 1))
        yield from self.settled_ahead.within(max(first, self.offered_end), last)

    # Acquiring

    def acquire(
        self,
        owner: str,
        max_records: int,
        max_bytes: int,
        lock_ms: int | None,
        settle: bool = False,
        *,
        now_ms: int,
        credits: tuple[Credit, ...] = (),
        whole: Callable[[int], int] | None = None,
        caution: Caution | None = None,
    ) -> Acquisition:
        """Gives records to somebody: those whose turn it is, at least one whatever its size if there is one.

        Args:
            owner: who holds them; `NOBODY` with a lock that only time ends, which outlives a restart.
            lock_ms: how long; None as long as the owner is there.
            settle: whether they are acknowledged by this already.
            credits: counters that the records count for until they are settled or released.
            whole: returns up to which offset records are to be given in any case, with the one at an offset.
            caution: says what is not to be given out together.
        """
        ranges: list[Acquired] = []
        whole_to = NEVER
        left, bytes_left, after = max_records, max_bytes, 0
        number = (self.epoch << _EPOCH_BITS) + self._acquisitions + 1
        until_ms = NEVER if lock_ms is None else now_ms + lock_ms
        while True:
            most, most_bytes = left, bytes_left
            if left > 0 and (bytes_left > 0 or not ranges):
                room = min(left, self._room())
                delivery = self._order.next_returned(room > 0) if self.tally.ready else None
            else:
                # What is left of a batch of which some was given.
                most, most_bytes = whole_to - ranges[-1].last if ranges else 0, sys.maxsize
                if most <= 0:
                    break
                delivery = self._order.next_returned(True) if self.tally.ready else None
                if delivery is not None and not ranges[-1].last < delivery.first <= whole_to:
                    break
                fresh = self._order.lowest_fresh()
                room = whole_to + 1 - fresh if fresh is not None else 0
            if caution is not None:
                allowed = caution.most(delivery, is_first=not ranges)
                if allowed <= 0:
                    break
                most = min(most, allowed)
            if delivery is not None:
                if self._is_over(delivery, Acts.AT_ACQUIRE):
                    self._leave(delivery)
                    self._take_out(delivery, DELIVERY_LIMIT, now_ms)
                    continue
                if delivery.records > most:
                    self._cut(delivery, delivery.first + most)
                self._leave(delivery)
                if settle:
                    self._remove(delivery)
            else:
                delivery = self._take_fresh(room, most_bytes)
                if delivery is None:
                    break
                after = max(after, self.reserve.take(delivery.last, self.changes))
                if not settle:
                    self.unsettled.add(delivery)
            if whole is not None and delivery.last > whole_to:
                whole_to = whole(delivery.last)
            self._hold(delivery, owner, number, until_ms, now_ms, credits, settle)
            if delivery.redelivered or settle:
                # Counts that have been seen, and what may not come twice, are written before somebody knows.
                after = self.changes.note(delivery.first, delivery.last)
            else:
                self.changes.note(delivery.first, delivery.last, urgent=owner == NOBODY)
            ranges.append(
                Acquired(
                    delivery.first,
                    delivery.last,
                    number,
                    delivery.acquisitions,
                    delivery.failures,
                    delivery.redelivered,
                )
            )
            left -= delivery.records
            bytes_left -= delivery.size
            if caution is not None:
                caution.took(delivery.records)
        if ranges:
            self._acquisitions += 1
            if until_ms != NEVER and not settle:
                for first, last in _spans(ranges):
                    self._deadlines.add(until_ms, first, last)
        return Acquisition(ranges, max_records - left, after, max_bytes - bytes_left)

    def _take_fresh(self, max_records: int, max_bytes: int) -> Delivery | None:
        if max_records <= 0 or not self.tally.fresh:
            return None
        lowest = self._order.lowest_fresh()
        perhaps_had = lowest is not None and lowest < self.redelivered_end
        if perhaps_had:
            assert lowest is not None
            max_records = min(max_records, self.redelivered_end - lowest)
        fresh = self._order.take_fresh(max_records, max_bytes, PAGE_BITS)
        assert fresh is not None
        delivery = Delivery(fresh.first, fresh.last, State.HELD, fresh.size)
        if perhaps_had and fresh.last < self.redelivered_end:
            self._was_perhaps_had(delivery)
        self.tally.fresh -= delivery.records
        self.tally.ready_bytes -= delivery.size
        return delivery

    def _hold(
        self,
        delivery: Delivery,
        owner: str,
        number: int,
        until_ms: int,
        now_ms: int,
        credits: tuple[Credit, ...],
        settle: bool,
    ) -> None:
        delivery.number = number
        delivery.acquisitions += 1
        delivery.last_ms = now_ms
        if delivery.first_ms == NEVER:
            delivery.first_ms = now_ms
        self._tell(EventKind.ACQUIRED, delivery, now_ms, owner, until_ms=until_ms)
        if settle:
            self._tell(EventKind.ACKNOWLEDGED, delivery, now_ms, owner)
            return
        delivery.state = State.HELD
        delivery.until_ms = until_ms
        delivery.owner = owner
        if owner != NOBODY:
            self._owners.setdefault(owner, {})[delivery] = None
        if credits:
            delivery.credits = credits
            for credit in credits:
                credit.used += delivery.records
        self.tally.held += delivery.records

    # What becomes of them

    def acknowledge(
        self, handle: Handle, *, now_ms: int, check: Check = Check.STRICT, owner: str | None = None
    ) -> bool:
        """Settles records; returns whether the handle was good, and changes nothing if it was not."""
        found = self._find(handle, check, owner)
        for delivery in found:
            self._tell(EventKind.ACKNOWLEDGED, delivery, now_ms, delivery.owner)
            self._settle(delivery)
        return bool(found)

    def release(
        self,
        handle: Handle,
        counts_as_failure: bool = False,
        position: Position = Position.ORIGINAL,
        not_before_ms: int | None = None,
        *,
        now_ms: int,
        check: Check = Check.STRICT,
        owner: str | None = None,
        reason: str = "",
    ) -> bool:
        """Gives records back; returns whether the handle was good, and changes nothing if it was not.

        Args:
            not_before_ms: when they may be delivered again; None if the policy says after a failure, and otherwise
                at once.
        """
        found = self._find(handle, check, owner)
        kind = EventKind.FAILED if counts_as_failure else EventKind.RELEASED
        # At the front, too, they stand in their order.
        for delivery in reversed(found) if position is Position.FRONT else found:
            self._give_back(delivery, kind, counts_as_failure, position, not_before_ms, now_ms, reason)
        return bool(found)

    def reject(
        self, handle: Handle, reason: str, *, now_ms: int, check: Check = Check.STRICT, owner: str | None = None
    ) -> bool:
        """Takes records out of the queue, to the dead letters if there is a place for them; returns whether the handle
        was good, and changes nothing if it was not."""
        found = self._find(handle, check, owner)
        for delivery in found:
            self._leave(delivery)
            self._take_out(delivery, reason, now_ms)
        return bool(found)

    def drop(self, handle: Handle, reason: str, *, now_ms: int) -> bool:
        """Settles held records that nobody can work on, wherever they go otherwise; returns whether the handle was
        good."""
        found = self._find(handle, Check.STRICT, None)
        for delivery in found:
            self._tell(EventKind.DROPPED, delivery, now_ms, delivery.owner, reason=reason)
            self._settle(delivery, archived=True)
        return bool(found)

    def extend(
        self, handle: Handle, lock_ms: int, *, now_ms: int, check: Check = Check.STRICT, owner: str | None = None
    ) -> bool:
        """Sets when locks end, from now on, sooner or later than it was; returns whether the handle was good."""
        found = self._find(handle, check, owner)
        for delivery in found:
            if delivery.state is not State.HELD:
                # Its lock has run out, but nobody else had it: it is held again.
                self._leave(delivery)
                delivery.state = State.HELD
                self.tally.held += delivery.records
                if delivery.owner != NOBODY:
                    self._owners.setdefault(delivery.owner, {})[delivery] = None
            delivery.until_ms = now_ms + lock_ms
            self._deadlines.add(delivery.until_ms, delivery.first, delivery.last)
            self.changes.note(delivery.first, delivery.last)
            self._tell(EventKind.EXTENDED, delivery, now_ms, delivery.owner, until_ms=delivery.until_ms)
        return bool(found)

    def release_owner(
        self, owner: str, counts_as_failure: bool = False, *, now_ms: int, position: Position = Position.ORIGINAL
    ) -> int:
        """Gives back everything that an owner holds; returns how many records that were."""
        records = 0
        held = sorted(self._owners.get(owner, ()), key=lambda found: found.first, reverse=position is Position.FRONT)
        for delivery in held:
            records += delivery.records
            self._give_back(delivery, EventKind.OWNER_GONE, counts_as_failure, position, None, now_ms, "")
        return records

    def expire(self, now_ms: int) -> int:
        """Ends the locks whose time is over and makes ready what is due; returns how many records that were."""
        records = 0
        for delivery in self._deadlines.due(now_ms):
            records += delivery.records
            if delivery.state is State.DELAYED:
                self._leave(delivery)
                self._make_ready(delivery, Position.ORIGINAL)
            else:
                failed = self.policy.lapse_is_failure
                self._give_back(delivery, EventKind.LAPSED, failed, Position.ORIGINAL, now_ms, now_ms, "")
        return records

    def shift(self, by_ms: int) -> None:
        """Moves the times of locks and delays, because the clock was set."""
        self._deadlines.shift(by_ms)

    def purge(self, now_ms: int) -> int:
        """Settles everything that is ready, and nothing that is held, delayed or moving; returns how many records."""
        records = self.counts().ready
        for delivery in self.unsettled:
            if delivery.state is State.READY:
                self._tell(EventKind.PURGED, delivery, now_ms, NOBODY)
                self._settle(delivery)
        for run in list(self._order.fresh()):
            self._drop_fresh(run.first, run.last, now_ms, EventKind.PURGED)
        if self.end > self.offered_end:
            # What was restored in between stays as it is.
            self._drop_waiting(self.end, now_ms, EventKind.PURGED)
        return records

    def drop_below(self, offset: int, now_ms: int) -> None:
        """Settles everything below an offset, whoever holds it: the log does not have it any more."""
        first = self.start
        if offset <= first:
            return
        for delivery in self.unsettled.within(first, offset - 1):
            move = delivery.move
            if delivery.last >= offset:
                self._cut(delivery, offset)
            self._tell(EventKind.DROPPED, delivery, now_ms, delivery.owner)
            self._settle(delivery)
            if move is not None and move.last >= offset:
                move.first = offset
                self.moves[move.intent] = move
        self._drop_fresh(first, offset - 1, now_ms, EventKind.DROPPED)
        self.end = max(self.end, offset)
        if offset > self.offered_end:
            self._drop_waiting(offset, now_ms, EventKind.DROPPED)

    def _drop_fresh(self, first: int, last: int, now_ms: int, kind: EventKind) -> None:
        records, size = self._order.take_out(first, last)
        if records:
            self.tally.fresh -= records
            self.tally.ready_bytes -= size
            self.changes.note(first, last)
            self._tell_all(kind, first, last, now_ms)

    def _drop_waiting(self, end: int, now_ms: int, kind: EventKind) -> None:
        first, self.offered_end = self.offered_end, end
        self.settled_ahead.drop_below(end)
        self.changes.note(first, end - 1)
        self._tell_all(kind, first, end - 1, now_ms)

    # Moves

    def move(
        self, handle: Handle, reason: str, destination: Destination, *, now_ms: int, owner: str | None = None
    ) -> bool:
        """Sends held records elsewhere; returns whether the handle was good, and changes nothing if it was not."""
        found = self._find(handle, Check.STRICT, owner)
        for delivery in found:
            self._leave(delivery)
            self._move(delivery, reason, destination, now_ms)
        return bool(found)

    def send_away(self, offset: int, reason: str, destination: Destination, *, now_ms: int) -> Move | None:
        """Sends a record elsewhere that nobody holds, and that need not have been offered: it is not delivered by that,
        and counts of deliveries stay. Returns None, and changes nothing, if it is held, on its way already or settled.
        """
        delivery = self.unsettled.find(offset)
        if delivery is None:
            if not self.is_waiting(offset):
                return None
            delivery = self._out_of_turn(offset)
        elif delivery.state in (State.READY, State.DELAYED):
            if delivery.first < offset:
                delivery = self._cut(delivery, offset)
            if delivery.last > offset:
                self._cut(delivery, offset + 1)
            self._leave(delivery)
        else:
            return None
        self._move(delivery, reason, destination, now_ms)
        return delivery.move

    def _out_of_turn(self, offset: int) -> Delivery:
        """Takes out one record that nobody has had."""
        delivery = Delivery(offset, offset, State.READY, 0)
        if offset < self.offered_end:
            records, delivery.size = self._order.take_out(offset, offset)
            self.tally.fresh -= records
            self.tally.ready_bytes -= delivery.size
        else:
            self.known_end = max(self.known_end, offset + 1)
        if offset < self.redelivered_end:
            self._was_perhaps_had(delivery)
        self.unsettled.add(delivery)
        return delivery

    @staticmethod
    def _was_perhaps_had(delivery: Delivery) -> None:
        delivery.redelivered = True
        delivery.acquisitions = 1

    def moved(self, intent: int, now_ms: int) -> None:
        """Settles what has arrived elsewhere; fine if it was dropped meanwhile."""
        move = self.moves.get(intent)
        if move is None:
            return
        for delivery in self.unsettled.within(move.first, move.last):
            if delivery.move is move:
                self._tell(EventKind.MOVED, delivery, now_ms, NOBODY, reason=move.reason)
                self._settle(delivery, archived=True)
        self.moves.pop(intent, None)

    def _take_out(self, delivery: Delivery, reason: str, now_ms: int) -> None:
        """Takes out one that is in no place at the moment."""
        if self.policy.dead_letters is not None:
            self._move(delivery, reason, self.policy.dead_letters, now_ms)
            return
        self._tell(EventKind.DROPPED, delivery, now_ms, delivery.owner, reason=reason)
        self._forget(delivery, archived=True)

    def _move(self, delivery: Delivery, reason: str, destination: Destination, now_ms: int) -> None:
        self.last_intent += 1
        delivery.state = State.MOVING
        move = Move(
            self.last_intent,
            delivery.first,
            delivery.last,
            reason,
            destination,
            delivery.acquisitions,
            delivery.failures,
            delivery.first_ms,
            delivery.last_ms,
            now_ms,
        )
        delivery.move = self.moves[self.last_intent] = move
        self.tally.moving += delivery.records
        move.sequence = self.changes.note(delivery.first, delivery.last)
        self._tell(EventKind.MOVING, delivery, now_ms, delivery.owner, reason=reason)

    # From one state to another

    def _find(self, handle: Handle, check: Check, owner: str | None) -> list[Delivery]:
        """Returns what a handle names, cut to it; nothing if the handle is not good for all of that."""
        found = self._named(handle, check, owner)
        if found:
            if found[0].first < handle.first:
                found[0] = self._cut(found[0], handle.first)
            if found[-1].last > handle.last:
                self._cut(found[-1], handle.last + 1)
        return found

    def _named(self, handle: Handle, check: Check, owner: str | None) -> list[Delivery]:
        """Returns what holds all that a handle names; nothing if the handle is not good."""
        first, last, number = handle
        delivery = self.unsettled.find(first)
        if delivery is None or last < first:
            return []
        if delivery.last >= last:
            found = [delivery]
        else:
            found = list(self.unsettled.within(first, last))
            if sum(each.records for each in found) - (first - delivery.first) - max(found[-1].last - last, 0) != (
                last - first + 1
            ):
                return []
        for each in found:
            if each.number != number and number != ANY_NUMBER:
                return []
            if each.state is not State.HELD and (check is Check.STRICT or each.state is State.MOVING):
                return []
            if owner is not None and each.owner != owner:
                return []
        return found

    def _cut(self, delivery: Delivery, first: int) -> Delivery:
        """Cuts one in two; returns the second, which begins at `first`."""
        rest = self.unsettled.cut(delivery, first)
        match rest.state:
            case State.HELD:
                if rest.owner != NOBODY:
                    self._owners[rest.owner][rest] = None
            case State.READY:
                self._order.cut(rest)
        return rest

    def _leave(self, delivery: Delivery) -> None:
        """Takes one out of the place where its state has it."""
        records = delivery.records
        match delivery.state:
            case State.HELD:
                self.tally.held -= records
                if delivery.owner != NOBODY:
                    held = self._owners[delivery.owner]
                    del held[delivery]
                    if not held:
                        del self._owners[delivery.owner]
                if delivery.credits:
                    credits, delivery.credits = delivery.credits, ()
                    for credit in credits:
                        credit.give_back(records)
            case State.READY:
                self._order.forget(delivery)
                self.tally.ready -= records
                self.tally.ready_bytes -= delivery.size
            case State.DELAYED:
                self.tally.delayed -= records
            case State.MOVING:
                self.tally.moving -= records
                assert delivery.move is not None
                self.moves.pop(delivery.move.intent, None)
        delivery.until_ms = NEVER

    def _settle(self, delivery: Delivery, archived: bool = False) -> None:
        self._leave(delivery)
        self._forget(delivery, archived)

    def _remove(self, delivery: Delivery) -> None:
        self.unsettled.remove(delivery)
        if delivery.last >= self.offered_end:
            # It has not been offered since the state was read, and is not to be.
            self.settled_ahead.add(delivery.first, delivery.last)
            self.offered_end = self.settled_ahead.end_of(self.offered_end)
            self.settled_ahead.drop_below(self.offered_end)

    def _forget(self, delivery: Delivery, archived: bool) -> None:
        self._remove(delivery)
        self.changes.note(delivery.first, delivery.last, archived=archived)

    def _give_back(
        self,
        delivery: Delivery,
        kind: EventKind,
        failed: bool,
        position: Position,
        not_before_ms: int | None,
        now_ms: int,
        reason: str,
    ) -> None:
        owner = delivery.owner
        self._leave(delivery)
        delivery.redelivered = True
        if failed:
            delivery.failures += 1
        if self._is_over(delivery, Acts.AT_RELEASE):
            self._tell(kind, delivery, now_ms, owner, reason=reason)
            self._take_out(delivery, DELIVERY_LIMIT, now_ms)
            return
        if not_before_ms is None:
            not_before_ms = now_ms
            if failed:
                not_before_ms += self.policy.backoff.delay_ms(delivery.failures, self._random)
        if not_before_ms > now_ms:
            delivery.state = State.DELAYED
            delivery.until_ms = not_before_ms
            self.tally.delayed += delivery.records
            self._deadlines.add(not_before_ms, delivery.first, delivery.last)
        else:
            self._make_ready(delivery, position)
        self.changes.note(delivery.first, delivery.last)
        self._tell(kind, delivery, now_ms, owner, reason=reason, until_ms=delivery.until_ms)

    def _make_ready(self, delivery: Delivery, position: Position) -> None:
        delivery.state = State.READY
        self.tally.ready += delivery.records
        self.tally.ready_bytes += delivery.size
        self._order.put_back(delivery, position, self.end)

    def _is_over(self, delivery: Delivery, acts: Acts) -> bool:
        limit = self.policy.limit
        return limit.acts is acts and limit.reached(delivery.acquisitions, delivery.failures)

    # The story

    def _tell(
        self, kind: EventKind, delivery: Delivery, now_ms: int, owner: str, *, reason: str = "", until_ms: int = NEVER
    ) -> None:
        if self.events is not None:
            self.events.tell(
                Event(
                    kind,
                    delivery.first,
                    delivery.last,
                    now_ms,
                    owner,
                    delivery.number,
                    delivery.acquisitions,
                    delivery.failures,
                    reason,
                    until_ms,
                )
            )

    def _tell_all(self, kind: EventKind, first: int, last: int, now_ms: int) -> None:
        if self.events is not None:
            self.events.tell(Event(kind, first, last, now_ms, NOBODY, NEVER, 0, 0, "", NEVER))


def _spans(ranges: list[Acquired]) -> Iterator[tuple[int, int]]:
    """Yields the offsets of ranges, neighbours as one."""
    first, last = ranges[0].first, ranges[0].last
    for found in ranges[1:]:
        if found.first == last + 1:
            last = found.last
            continue
        yield first, last
        first, last = found.first, found.last
    yield first, last
