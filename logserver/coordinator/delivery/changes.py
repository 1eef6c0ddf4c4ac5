"""What has changed since it was last written, and how far what was written is durable."""

from typing import Final

from logserver.coordinator.delivery.offset_ranges import OffsetRanges

AT_ONCE: Final = 0
"""Needs no waiting for anything."""


class Changes:
    """The ranges of offsets whose state is to be written, both ends inclusive.

    A transition changes memory and has a number; what is written has all transitions up to one.
    """

    def __init__(self) -> None:
        self.sequence = AT_ONCE
        """Number of the last transition that is to be written."""
        self.durable = AT_ONCE
        """All transitions up to this number are."""
        self.urgent = False
        """Whether somebody may be waiting for what is not written; without, it may wait for others."""
        self._ranges: list[tuple[int, int]] = []
        self._archived: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._ranges) or self.urgent

    def note(self, first: int, last: int, *, urgent: bool = True, archived: bool = False) -> int:
        """Takes note of a transition; returns its number.

        Args:
            archived: whether the records were settled without success.
        """
        ranges = self._ranges
        if ranges and ranges[-1][1] + 1 == first:
            ranges[-1] = (ranges[-1][0], last)
        else:
            ranges.append((first, last))
        if archived:
            self._archived.append((first, last))
        if urgent:
            self.urgent = True
        self.sequence += 1
        return self.sequence

    def note_urgent(self) -> int:
        """Takes note of a transition of no record; returns its number."""
        self.urgent = True
        self.sequence += 1
        return self.sequence

    def take(self) -> tuple[OffsetRanges, OffsetRanges]:
        """Returns the ranges that have changed, and those that were archived; from here on there are none."""
        changed, archived = OffsetRanges(), OffsetRanges()
        for first, last in sorted(self._ranges):
            changed.add(first, last)
        for first, last in sorted(self._archived):
            archived.add(first, last)
        self._ranges.clear()
        self._archived.clear()
        self.urgent = False
        return changed, archived


class NoChanges(Changes):
    """Nothing is written: what is kept in memory only is as durable as it gets."""

    def note(self, first: int, last: int, *, urgent: bool = True, archived: bool = False) -> int:
        return AT_ONCE

    def note_urgent(self) -> int:
        return AT_ONCE
