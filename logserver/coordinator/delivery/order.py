"""Which record is next: the rule of a partition, to be replaced by another as a whole."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple, Protocol

from logserver.coordinator.delivery.unsettled import Delivery, State

_STALE: Final = 64
"""So many forgotten entries are never worth clearing away."""


_NOWHERE: Final = (-2, 0)


class Position(Enum):
    """Where a record goes that is released."""

    ORIGINAL = "original"
    FRONT = "front"
    TAIL = "tail"


class Fresh(NamedTuple):
    """Records that nobody has had: both ends inclusive, size in bytes."""

    first: int
    last: int
    size: int


class Order(Protocol):
    """Keeps the records of a partition that somebody may have now, and says which is next."""

    def offer(self, first: int, last: int, size: int, columns: Any) -> None:
        """Takes in records that nobody has had; offsets rise from call to call.

        Raises:
            ValueError: the rule has no use for the columns.
        """
        ...

    def put_back(self, delivery: Delivery, position: Position, end: int) -> None:
        """Takes in what somebody has had; `end` is where the queue ends now."""
        ...

    def cut(self, rest: Delivery) -> None:
        """Takes in the second half of one that it has."""
        ...

    def next_returned(self, with_fresh: bool) -> Delivery | None:
        """Returns the next if it is one that was had before, and leaves it there; READY ones only.

        Args:
            with_fresh: whether what nobody has had may be before it.
        """
        ...

    def forget(self, delivery: Delivery) -> None:
        """Takes out one; called before or after its state has changed."""
        ...

    def take_fresh(self, max_records: int, max_bytes: int, within: int) -> Fresh | None:
        """Takes out the next that nobody has had: at least one record, whatever its size, all of one page of
        `2**within` offsets."""
        ...

    def lowest_fresh(self) -> int | None:
        """Returns the lowest offset that nobody has had."""
        ...

    def fresh(self) -> Iterator[Fresh]:
        """Yields what nobody has had, by offset."""
        ...

    def has_fresh(self, offset: int) -> bool:
        """Whether nobody has had the record at an offset."""
        ...

    def take_out(self, first: int, last: int) -> tuple[int, int]:
        """Takes out what nobody has had of a range; returns how many records and bytes that were."""
        ...


class OffsetOrder:
    """By offset; what was released to the front before, and what was released to the tail behind all that was there
    then."""

    def __init__(self) -> None:
        self._runs: deque[Fresh] = deque()
        # Place, a number that tells entries of one place apart, and who stands there.
        self._heap: list[tuple[tuple[int, int], int, Delivery]] = []
        self._stale = 0
        self._released = 0

    def offer(self, first: int, last: int, size: int, columns: Any) -> None:
        if columns is not None:
            raise ValueError("a queue in the order of offsets has no use for columns")
        runs = self._runs
        if runs and runs[-1].last + 1 == first:
            runs[-1] = Fresh(runs[-1].first, last, runs[-1].size + size)
        else:
            runs.append(Fresh(first, last, size))

    def put_back(self, delivery: Delivery, position: Position, end: int) -> None:
        self._released += 1
        match position:
            case Position.ORIGINAL:
                delivery.sort_key = (delivery.first, 0)
            case Position.FRONT:
                delivery.sort_key = (-1, -self._released)
            case Position.TAIL:
                delivery.sort_key = (end, self._released)
        heappush(self._heap, (delivery.sort_key, self._released, delivery))

    def cut(self, rest: Delivery) -> None:
        self._released += 1
        heappush(self._heap, (rest.sort_key, self._released, rest))

    def next_returned(self, with_fresh: bool) -> Delivery | None:
        heap = self._heap
        while heap:
            key, _, delivery = heap[0]
            if delivery.state is State.READY and delivery.sort_key == key:
                if with_fresh and self._runs and (self._runs[0].first, 0) < key:
                    return None
                return delivery
            heappop(heap)
            self._stale = max(self._stale - 1, 0)
        return None

    def forget(self, delivery: Delivery) -> None:
        # An entry counts as long as it says where its delivery stands.
        delivery.sort_key = _NOWHERE
        if self._heap and self._heap[0][2] is delivery:
            heappop(self._heap)
            return
        self._stale += 1
        if self._stale > _STALE and self._stale * 2 > len(self._heap):
            self._heap = [
                entry for entry in self._heap if entry[2].state is State.READY and entry[2].sort_key == entry[0]
            ]
            heapify(self._heap)
            self._stale = 0

    def take_fresh(self, max_records: int, max_bytes: int, within: int) -> Fresh | None:
        if not self._runs:
            return None
        run = self._runs[0]
        first, last, size = run
        records = last - first + 1
        count = min(records, max_records, ((first >> within) + 1 << within) - first)
        if size > max_bytes:
            count = max(1, min(count, records * max_bytes // size))
        if count == records:
            return self._runs.popleft()
        taken = size * count // records
        self._runs[0] = Fresh(first + count, last, size - taken)
        return Fresh(first, first + count - 1, taken)

    def lowest_fresh(self) -> int | None:
        return self._runs[0].first if self._runs else None

    def fresh(self) -> Iterator[Fresh]:
        return iter(self._runs)

    def has_fresh(self, offset: int) -> bool:
        at = bisect_left(self._runs, offset, key=_last)
        return at < len(self._runs) and self._runs[at].first <= offset

    def take_out(self, first: int, last: int) -> tuple[int, int]:
        runs = self._runs
        records = size = 0
        at = bisect_left(runs, first, key=_last)
        while at < len(runs) and runs[at].first <= last:
            run = runs[at]
            begin, end = max(run.first, first), min(run.last, last)
            before = run.size * (begin - run.first) // (run.last - run.first + 1)
            after = run.size * (run.last - end) // (run.last - run.first + 1)
            del runs[at]
            if run.first < begin:
                runs.insert(at, Fresh(run.first, begin - 1, before))
                at += 1
            if end < run.last:
                runs.insert(at, Fresh(end + 1, run.last, after))
            records += end - begin + 1
            size += run.size - before - after
        return records, size


def _last(run: Fresh) -> int:
    return run.last
