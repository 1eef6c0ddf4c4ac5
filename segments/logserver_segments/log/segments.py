"""The segments of one log, in order."""

from bisect import bisect_left, bisect_right

from logserver_segments.segment import Segment


class SegmentList:
    """Segments in order of base offset: the last one is active, every other one sealed.

    `items`, `bases`, `active` and `sealed_bytes` are for reading only; whoever changes whether a segment has aborted
    transactions calls `aborted_changed`.

    Args:
        segments: at least one.
    """

    __slots__ = ("_with_aborted", "active", "bases", "items", "sealed_bytes")

    def __init__(self, segments: list[Segment]) -> None:
        self.items = segments
        self.bases = [segment.base_offset for segment in segments]
        self.active = segments[-1]
        self.sealed_bytes = sum(segment.size for segment in segments[:-1])
        self._with_aborted: list[Segment] | None = None

    @property
    def size_bytes(self) -> int:
        return self.sealed_bytes + self.active.size

    def number_of(self, offset: int) -> int:
        """Returns the number, from 0 on, of the segment whose range of offsets holds `offset`."""
        return max(bisect_right(self.bases, offset) - 1, 0)

    def with_aborted(self, offset: int) -> list[Segment]:
        """Returns the segments that may have markers of aborted transactions, from the one that holds `offset` on."""
        known = self._with_aborted
        if known is None:
            known = self._with_aborted = [segment for segment in self.items if segment.aborted.may_have_entries]
        base = self.bases[self.number_of(offset)]
        return known[bisect_left(known, base, key=lambda segment: segment.base_offset) :]

    def aborted_changed(self) -> None:
        """Says that a segment has got its first aborted transaction, or has none any more."""
        self._with_aborted = None

    def add(self, segment: Segment) -> None:
        """Makes a segment the active one; the one that was must be sealed."""
        self.sealed_bytes += self.active.size
        self.items.append(segment)
        self.bases.append(segment.base_offset)
        self.active = segment
        self._with_aborted = None

    def remove_last(self) -> None:
        """Removes the active segment; the one before it becomes the last, and is yet to be made active."""
        del self.items[-1], self.bases[-1]
        self.active = self.items[-1]
        self.sealed_bytes -= self.active.size
        self._with_aborted = None

    def remove_first(self, count: int) -> list[Segment]:
        """Removes and returns the first segments; one at least stays."""
        gone = self.items[:count]
        del self.items[:count], self.bases[:count]
        self.sealed_bytes -= sum(segment.size for segment in gone)
        self._with_aborted = None
        return gone

    def replace(self, number: int, count: int, new: Segment) -> None:
        """Puts one sealed segment in the place of `count` sealed ones from `number` on."""
        self.sealed_bytes += new.size - sum(segment.size for segment in self.items[number : number + count])
        self.items[number : number + count] = [new]
        self.bases[number : number + count] = [new.base_offset]
        self._with_aborted = None

    def check_invariant(self) -> None:
        """Asserts what always holds."""
        assert self.bases == [segment.base_offset for segment in self.items] == sorted(set(self.bases))
        assert self.active is self.items[-1]
        assert all(segment.sealed for segment in self.items[:-1]) and not self.active.sealed
        assert self.sealed_bytes == sum(segment.size for segment in self.items[:-1])
