"""What is known of the records of one partition for one queue, and the steps from one state to another."""

from collections.abc import Iterator

from logserver_segments.seams import Random

from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.counts import Counts, Tally
from logserver.coordinator.delivery.deadlines import Deadlines
from logserver.coordinator.delivery.events import Event, EventKind, Events
from logserver.coordinator.delivery.handles import ANY_NUMBER, Check, Handle
from logserver.coordinator.delivery.moves import Move
from logserver.coordinator.delivery.offset_ranges import OffsetRanges
from logserver.coordinator.delivery.order import Order, Position
from logserver.coordinator.delivery.policy import Acts, Policy
from logserver.coordinator.delivery.reserve import Reserve
from logserver.coordinator.delivery.unsettled import NEVER, NOBODY, Delivery, State, Unsettled


class EngineState:
    """The records of one partition; see `Engine`."""

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

    def _add_known(self, ranges: OffsetRanges, first: int, last: int) -> None:
        for begin, end in self.settled_ahead.within(first, last):
            ranges.add(begin, end)
        for found in self.unsettled.within(first, last):
            ranges.add(found.first, found.last)

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
