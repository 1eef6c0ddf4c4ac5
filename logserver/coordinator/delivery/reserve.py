"""How far records may have been delivered, written ahead of delivering them.

After a crash, what is below may have been seen by somebody and comes again marked so; what is above was not. So a
first delivery waits for no write, but for one in each block.
"""

from typing import Final

from logserver.coordinator.delivery.changes import AT_ONCE, Changes

_BLOCK: Final = 1_024


class Reserve:
    """The offset below which records may have been delivered."""

    __slots__ = ("_safe_end", "_sequence", "end")

    def __init__(self, end: int) -> None:
        self.end = end
        self._safe_end = end
        self._sequence = AT_ONCE

    def take(self, last: int, changes: Changes) -> int:
        """Makes sure that a record may be delivered; returns the transition that has to be durable before."""
        if self._safe_end < self.end and changes.durable >= self._sequence:
            self._safe_end = self.end
        if last + _BLOCK // 2 >= self.end and (last >= self.end or self._safe_end == self.end):
            self.end = max(self.end, last + 1) + _BLOCK
            self._sequence = changes.note_urgent()
            if changes.durable >= self._sequence:
                self._safe_end = self.end
        return AT_ONCE if last < self._safe_end else self._sequence
