"""A set of offsets, kept as ranges."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class OffsetRanges:
    """Disjoint ranges of offsets in order, both ends inclusive; ranges that touch are one."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts = array("q")
        self._lasts = array("q")

    def __len__(self) -> int:
        """Returns how many ranges there are."""
        return len(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, offset: int) -> bool:
        index = bisect_right(self._firsts, offset) - 1
        return index >= 0 and offset <= self._lasts[index]

    def add(self, first: int, last: int) -> None:
        """Adds a range; fine if some of it is there."""
        firsts, lasts = self._firsts, self._lasts
        if not lasts or first > lasts[-1] + 1:
            firsts.append(first)
            lasts.append(last)
            return
        # The ranges from `begin` on and before `end` overlap or touch the new one.
        begin = bisect_left(lasts, first - 1)
        end = bisect_right(firsts, last + 1)
        if begin < end:
            first = min(first, firsts[begin])
            last = max(last, lasts[end - 1])
        firsts[begin:end] = array("q", (first,))
        lasts[begin:end] = array("q", (last,))

    def missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yields what of a range is not in the set."""
        index = bisect_left(self._lasts, first)
        while first <= last:
            if index == len(self._firsts) or self._firsts[index] > last:
                yield first, last
                return
            if self._firsts[index] > first:
                yield first, self._firsts[index] - 1
            first = self._lasts[index] + 1
            index += 1

    def within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yields what of a range is in the set."""
        index = bisect_left(self._lasts, first)
        while index < len(self._firsts) and self._firsts[index] <= last:
            yield max(self._firsts[index], first), min(self._lasts[index], last)
            index += 1

    def end_of(self, offset: int) -> int:
        """Returns the first offset from `offset` on that is not in the set."""
        index = bisect_right(self._firsts, offset) - 1
        return self._lasts[index] + 1 if index >= 0 and offset <= self._lasts[index] else offset

    def drop_below(self, offset: int) -> None:
        """Takes out all offsets below one."""
        gone = bisect_left(self._lasts, offset)
        del self._firsts[:gone]
        del self._lasts[:gone]
        if self._firsts and self._firsts[0] < offset:
            self._firsts[0] = offset

    def clear(self) -> None:
        """Takes out all."""
        del self._firsts[:]
        del self._lasts[:]
