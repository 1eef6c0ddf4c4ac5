"""Records on their way to other topics: dead letters, and what is redriven."""

from logserver.coordinator.delivery.engine_state import EngineState
from logserver.coordinator.delivery.events import EventKind
from logserver.coordinator.delivery.handles import Check, Handle
from logserver.coordinator.delivery.moves import Destination, Move
from logserver.coordinator.delivery.unsettled import NOBODY, Delivery, State


class Moving(EngineState):
    """The moves of an `Engine`."""

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
