"""Ranges of offsets and their states, and the later ones that replace them in part."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter

from logserver.coordinator.delivery.stored import StoredRange, StoredState
from logserver.coordinator.share_state.extras_format import ExtrasRange

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


def with_extras(ranges: list[StoredRange], extras: Iterable[ExtrasRange]) -> list[StoredRange]:
    """Returns ranges with what their offsets have beyond Kafka's state; those that are settled have nothing.

    Args:
        ranges: in order, and disjoint; not to be used any more.
        extras: as well.
    """
    out: list[StoredRange] = []
    at, size = 0, len(ranges)
    for first, last, more, had in extras:
        if at < size and ranges[at][1] < first:
            begin = bisect_left(ranges, first, lo=at, key=_last)
            _extend(out, ranges, at, begin)
            at = begin
        while at < size and ranges[at][0] <= last:
            found_first, found_last, state, acquisitions, known = ranges[at]
            if found_first < first:
                add(out, StoredRange(found_first, first - 1, state, acquisitions, known))
                found_first = first
            if state is StoredState.AVAILABLE:
                add(out, StoredRange(found_first, min(found_last, last), state, acquisitions + more, had))
            else:
                add(out, StoredRange(found_first, min(found_last, last), state, acquisitions, known))
            if found_last > last:
                ranges[at] = StoredRange(last + 1, found_last, state, acquisitions, known)
                break
            at += 1
    _extend(out, ranges, at, size)
    return out
