"""The transactions of one log that readers of committed records must not see yet."""

from collections import OrderedDict, deque
from typing import NamedTuple


class EndedTransaction(NamedTuple):
    """A transaction whose marker is in the log and perhaps not committed yet."""

    first_offset: int
    marker_offset: int


class UnstableOffsets:
    """Where transactions began that are open, or whose marker is not committed yet (Kafka: `ProducerStateManager`).

    Transactions begin and end at the log's end, so both kinds come in order, and the smallest offset is at hand.
    """

    __slots__ = ("_open", "ended")

    def __init__(self) -> None:
        # First offset by producer id; first offsets rise.
        self._open: OrderedDict[int, int] = OrderedDict()
        # Marker offsets rise and first offsets, too: one that began before others and ended after them stands for them.
        # For reading only.
        self.ended: deque[EndedTransaction] = deque()

    def begin(self, producer_id: int, first_offset: int) -> None:
        """Notes that a producer's transaction began at an offset, at which or behind which no other one did."""
        self._open[producer_id] = first_offset

    def end(self, producer_id: int, marker_offset: int) -> None:
        """Notes that the marker of a producer's open transaction stands at an offset."""
        first_offset = self._open.pop(producer_id)
        ended = self.ended
        while ended and ended[-1].first_offset >= first_offset:
            ended.pop()
        ended.append(EndedTransaction(first_offset, marker_offset))

    def committed(self, offset: int) -> None:
        """Notes that everything before an offset is committed."""
        ended = self.ended
        while ended and ended[0].marker_offset < offset:
            ended.popleft()

    @property
    def first_open(self) -> int | None:
        """The first offset of the transaction that is open for longest; None if none is open."""
        return next(iter(self._open.values())) if self._open else None

    @property
    def first(self) -> int | None:
        """The first offset that readers of committed records must not see; None if there is none."""
        if not self.ended:
            return self.first_open
        first = self.ended[0].first_offset
        return min(first, next(iter(self._open.values()))) if self._open else first

    def ended_before(self, end_offset: int) -> list[EndedTransaction]:
        """Returns what of ended transactions has to be kept when a log is cut at an offset.

        One that stood for others may fall away: then it is open again, and until its new marker is committed so are the
        markers of the others.
        """
        return [ended for ended in self.ended if ended.marker_offset < end_offset]

    def set_ended(self, ended: list[EndedTransaction]) -> None:
        """Replaces what is known of ended transactions; all others count as committed."""
        self.ended = deque(ended)

    def clear(self) -> None:
        """Forgets everything."""
        self._open.clear()
        self.ended.clear()
