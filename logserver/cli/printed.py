"""How far a member of a group has printed its partitions, and what of that is committed; without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logserver_client import BytesRecord, TopicPartition


class Printed:
    """Positions of the partitions that are owned: everything below has been printed, or is not to be printed.

    Args:
        ends: where each partition ends (exclusive), those without an entry at once; None for no end at all.
    """

    def __init__(self, ends: Mapping[TopicPartition, int] | None = None) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self._ends = ends
        self._firsts: dict[TopicPartition, int] = {}
        """Where records begin that are to be printed, for partitions that have not come there yet."""
        self._stored: dict[TopicPartition, int | None] = {}
        self._owned_from: dict[TopicPartition, int] = {}

    # Partitions.

    def take(self, tp: TopicPartition, position: int, stored: int | None, first: int = 0) -> None:
        """A partition is owned from now on.

        Args:
            position: the offset of the next record to come.
            stored: what the group has committed.
            first: nothing before this offset is printed; and nothing is committed before it is reached, so that whoever
                is next begins there, too.
        """
        self.positions[tp] = self._owned_from[tp] = position
        self._stored[tp] = stored
        if first > position:
            self._firsts[tp] = first

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """These are owned no more."""
        for tp in partitions:
            for table in (self.positions, self._stored, self._firsts, self._owned_from):
                table.pop(tp, None)

    def is_finished(self, tp: TopicPartition) -> bool:
        """True if a partition has come to its end."""
        return self._ends is not None and self.positions[tp] >= self._ends.get(tp, 0)

    @property
    def finished(self) -> list[TopicPartition]:
        """The owned partitions that have come to their ends."""
        return [tp for tp in self.positions if self.is_finished(tp)]

    @property
    def are_all_finished(self) -> bool:
        """True if every owned partition has come to its end."""
        return self._ends is not None and all(map(self.is_finished, self.positions))

    # Records.

    def wanted(self, records: Sequence[BytesRecord]) -> Sequence[BytesRecord]:
        """Returns those of the records that are to be printed."""
        if self._ends is None and not self._firsts:
            return records
        firsts = {tp.partition: first for tp, first in self._firsts.items()}
        ends = None if self._ends is None else {tp.partition: end for tp, end in self._ends.items()}
        return [
            record
            for record in records
            if record.offset >= firsts.get(record.partition, 0)
            and (ends is None or record.offset < ends.get(record.partition, 0))
        ]

    def printed(self, records: Iterable[BytesRecord]) -> None:
        """Those of the records that are to be printed are."""
        last = {record.partition: record for record in records}
        for tp in self.positions:
            if (record := last.get(tp.partition)) is not None:
                self.moved(tp, record.offset + 1)

    def moved(self, tp: TopicPartition, position: int) -> None:
        """A partition has come to a position, perhaps over what nobody gets to see (control batches)."""
        if self._ends is not None and position > (end := self._ends.get(tp, 0)):
            position = max(self.positions[tp], end)
        self.positions[tp] = position
        if position >= self._firsts.get(tp, 0):
            self._firsts.pop(tp, None)

    # Commits.

    def changed(self) -> dict[TopicPartition, int]:
        """Returns what is to be committed: positions that aren't, those of new partitions among them."""
        return {
            tp: position
            for tp, position in self.positions.items()
            if position != self._stored[tp] and tp not in self._firsts
        }

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These are stored."""
        self._stored.update((tp, offset) for tp, offset in offsets.items() if tp in self.positions)

    def unsaved(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Returns those of the partitions in which something was printed that is not committed."""
        changed = self.changed()
        stored, owned_from = self._stored, self._owned_from
        return [tp for tp in partitions if tp in changed and changed[tp] > max(stored[tp] or 0, owned_from[tp])]
