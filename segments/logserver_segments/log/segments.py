"""The segments of one log, in order."""

from bisect import bisect_right

from logserver_segments.segment import Segment


class SegmentList:
    """Segments in order of base offset: the last one is active, every other one sealed.

    `items`, `bases`, `active` and `sealed_bytes` are for reading only.

    Args:
        segments: at least one.
    """

    __slots__ = ("active", "bases", "items", "sealed_bytes")

    def __init__(self, segments: list[Segment]) -> None:
        self.items = segments
        self.bases = [segment.base_offset for segment in segments]
        self.active = segments[-1]
        self.sealed_bytes = sum(segment.size for segment in segments[:-1])

    @property
    def size_bytes(self) -> int:
        return self.sealed_bytes + self.active.size

    def number_of(self, offset: int) -> int:
        """Returns the number, from 0 on, of the segment whose range of offsets holds `offset`."""
        return max(bisect_right(self.bases, offset) - 1, 0)

    def add(self, segment: Segment) -> None:
        """Makes a segment the active one; the one that was must be sealed."""
        self.sealed_bytes += self.active.size
        self.items.append(segment)
        self.bases.append(segment.base_offset)
        self.active = segment

    def remove_last(self) -> None:
        """Removes the active segment; the one before it becomes the last, and is yet to be made active."""
        del self.items[-1], self.bases[-1]
        self.active = self.items[-1]
        self.sealed_bytes -= self.active.size

    def remove_first(self, count: int) -> list[Segment]:
        """Removes and returns the first segments; one at least stays."""
        gone = self.items[:count]
        del self.items[:count], self.bases[:count]
        self.sealed_bytes -= sum(segment.size for segment in gone)
        return gone

    def replace(self, number: int, count: int, new: Segment) -> None:
        """Puts one sealed segment in the place of `count` sealed ones from `number` on."""
        self.sealed_bytes += new.size - sum(segment.size for segment in self.items[number : number + count])
        self.items[number : number + count] = [new]
        self.bases[number : number + count] = [new.base_offset]

    def check_invariant(self) -> None:
        """Asserts what always holds."""
        assert self.bases == [segment.base_offset for segment in self.items] == sorted(set(self.bases))
        assert self.active is self.items[-1]
        assert all(segment.sealed for segment in self.items[:-1]) and not self.active.sealed
        assert self.sealed_bytes == sum(segment.size for segment in self.items[:-1])
