"""The delivery of one partition's records to those who share the work on them.

Every offset below `offered_end` is in one of three places: nobody has had it (it stands in the order), it is unsettled
(somebody has or had it), or neither, and then it is settled. So what is settled costs nothing, and what waits in the
log costs nothing either: records are offered a few at a time.

A transition changes memory at once and is written down later, together with others; see `Changes`. Time comes with
each call, in milliseconds.
"""

from collections.abc import Iterable
from typing import Any

from logserver.coordinator.delivery.engine_acquiring import Acquiring
from logserver.coordinator.delivery.engine_settling import Settling
from logserver.coordinator.delivery.moves import DELIVERY_LIMIT, Move
from logserver.coordinator.delivery.offset_ranges import OffsetRanges
from logserver.coordinator.delivery.order import Position
from logserver.coordinator.delivery.policy import Acts
from logserver.coordinator.delivery.reserve import Reserve
from logserver.coordinator.delivery.unsettled import NEVER, Delivery, State


class Engine(Acquiring, Settling):
    """What becomes of the records of one partition for one queue.

    Args:
        start: offset of the first record that is for the queue.
        epoch: higher than any before for this partition of the queue; acquisition numbers are made from it.
        policy: may be replaced at any time.
        changes: collects what is to be written.
        events: collects the story of the records; None if nobody wants to know.
    """

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
