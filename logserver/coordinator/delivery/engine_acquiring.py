"""Giving records to those who work on them."""

import sys
from collections.abc import Callable, Iterator
from typing import Final

from logserver.coordinator.delivery.caution import Caution
from logserver.coordinator.delivery.credits import Credit
from logserver.coordinator.delivery.engine_moving import Moving
from logserver.coordinator.delivery.events import EventKind
from logserver.coordinator.delivery.handles import Acquired, Acquisition
from logserver.coordinator.delivery.moves import DELIVERY_LIMIT
from logserver.coordinator.delivery.policy import Acts
from logserver.coordinator.delivery.unsettled import NEVER, NOBODY, PAGE_BITS, Delivery, State

_EPOCH_BITS: Final = 40
"""An acquisition's number is that of the time since the state was read, and in the lower bits one that counts."""


class Acquiring(Moving):
    """Acquisitions of an `Engine`."""

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
                if settle and room <= 0:
                    # One that is settled makes room, and then it may be the turn of what nobody has had.
                    most = 1
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
