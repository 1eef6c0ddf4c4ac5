"""What becomes of records that somebody has, or that nobody is to have."""

from logserver.coordinator.delivery.engine_moving import Moving
from logserver.coordinator.delivery.events import EventKind
from logserver.coordinator.delivery.handles import Check, Handle
from logserver.coordinator.delivery.moves import DELIVERY_LIMIT
from logserver.coordinator.delivery.order import Position
from logserver.coordinator.delivery.policy import Acts
from logserver.coordinator.delivery.unsettled import NOBODY, Delivery, State


class Settling(Moving):
    """Settlements of an `Engine`, by those who hold records and by time."""

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
