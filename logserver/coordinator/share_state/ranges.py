"""Ranges of offsets and their states, and the later ones that replace them in part."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter

from logserver.coordinator.delivery.stored import StoredRange

_first = attrgetter("first")
_last = attrgetter("last")


def add(ranges: list[StoredRange], found: StoredRange) -> None:
    """Appends a range that is behind all others; neighbours with the same story become one."""
    if ranges:
        before = ranges[-1]
        if before[1] + 1 == found[0] and before[2:] == found[2:]:
            ranges[-1] = before._replace(last=found.last)
            return
    ranges.append(found)


def overlaid(ranges: list[StoredRange], newer: Iterable[StoredRange], start: int) -> list[StoredRange]:
    """Returns ranges with newer ones in their places, and nothing below an offset.

    Costs a copy of a list and little more, however many there are, if few are newer.

    Args:
        ranges: in order, and disjoint; not to be used any more.
        newer: as well.
    """
    out: list[StoredRange] = []
    at = bisect_left(ranges, start, key=_last)
    if at < len(ranges) and ranges[at].first < start:
        ranges[at] = ranges[at]._replace(first=start)
    for found in newer:
        if found.last < start:
            continue
        if found.first < start:
            found = found._replace(first=start)
        begin = bisect_left(ranges, found.first, lo=at, key=_last)
        _extend(out, ranges, at, begin)
        end = bisect_right(ranges, found.last, lo=begin, key=_first)
        if begin < end and ranges[begin].first < found.first:
            add(out, ranges[begin]._replace(last=found.first - 1))
        add(out, found)
        at = end
        if begin < end and ranges[end - 1].last > found.last:
            at -= 1
            ranges[at] = ranges[at]._replace(first=found.last + 1)
    _extend(out, ranges, at, len(ranges))
    return out


def _extend(out: list[StoredRange], ranges: list[StoredRange], begin: int, end: int) -> None:
    if begin < end:
        add(out, ranges[begin])
        out += ranges[begin + 1 : end]


def pieces(ranges: list[StoredRange], first: int, last: int) -> Iterable[StoredRange]:
    """Yields what ranges have of some offsets, both ends inclusive."""
    for found in ranges[bisect_left(ranges, first, key=_last) : bisect_right(ranges, last, key=_first)]:
        if found.first < first or found.last > last:
            found = found._replace(first=max(found.first, first), last=min(found.last, last))
        yield found
