"""When locks end and delays are over: a heap whose entries are checked against what is so when they come up."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from logserver.coordinator.delivery.unsettled import Delivery, State, Unsettled

_FEW: Final = 1_024
"""So many entries are never worth going through."""


class Deadlines:
    """The times of HELD and DELAYED deliveries.

    An entry names offsets, so one stays true when a delivery is cut; those that time has left behind are dropped when
    they come up, and all are made anew when most of them are such.
    """

    __slots__ = ("_heap", "_unsettled")

    def __init__(self, unsettled: Unsettled) -> None:
        self._heap: list[tuple[int, int, int]] = []
        self._unsettled = unsettled

    def add(self, until_ms: int, first: int, last: int) -> None:
        """Adds the time of a range of offsets, both ends inclusive."""
        heappush(self._heap, (until_ms, first, last))
        if len(self._heap) > _FEW and len(self._heap) > 2 * len(self._unsettled):
            self._heap = [(found.until_ms, found.first, found.last) for found in self._unsettled if _timed(found)]
            heapify(self._heap)

    @property
    def next_ms(self) -> int | None:
        """When to look at `due` again: at the first time, or before. None if there is none."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> Iterator[Delivery]:
        """Yields what the time of has come, each to be changed before the next."""
        while self._heap and self._heap[0][0] <= now_ms:
            _, first, last = heappop(self._heap)
            for found in self._unsettled.within(first, last):
                if _timed(found) and found.until_ms <= now_ms:
                    yield found

    def shift(self, by_ms: int) -> None:
        """Moves all by a time, because the clock was set."""
        for found in self._unsettled:
            if _timed(found):
                found.until_ms += by_ms
        self._heap = [(until_ms + by_ms, first, last) for until_ms, first, last in self._heap]


def _timed(delivery: Delivery) -> bool:
    return delivery.until_ms >= 0 and delivery.state in (State.HELD, State.DELAYED)
