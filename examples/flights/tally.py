"""What the workers of a group have done between them, held against the flights of the file."""

from collections import Counter
from collections.abc import Iterable, Sequence, Set

from .flights import Flight
from .journal import Stint, checksum
from .readback import Place


class Tally:
    """One piece of work of a group: the records of all its owners of partitions, added up.

    Attributes:
        count: records worked on, as often as that was done.
        missing: flights that nobody has worked on.
        changed: records that are not the flight that their header names, or not the same one as somebody else's at the
            same place.
        twice: places of the records that were worked on more often than once.
        again: how often records were worked on beyond the first time.
        keeps_order: whether each owner of a partition has got every key's flights in their order.
    """

    def __init__(self, stints: Sequence[Stint], flights: Sequence[Flight]) -> None:
        sums = {flight.row: checksum(*flight[1:]) for flight in flights}
        rows: dict[Place, int] = {}
        times: Counter[Place] = Counter()
        self.changed = 0
        for stint in stints:
            for offset, row, found in zip(stint.offsets, stint.rows, stint.sums, strict=True):
                place = Place(stint.partition, offset)
                times[place] += 1
                self.changed += sums.get(row) != found or rows.setdefault(place, row) != row
        # One flight at two places is no second look at a record: it was stored twice.
        self.changed += len(rows) - len(set(rows.values()))
        self.count = times.total()
        self.missing = len(sums.keys() - rows.values())
        self.twice = {place for place, count in times.items() if count > 1}
        self.again = self.count - len(times)
        self.keeps_order = _keeps_order(stints, flights)

    @property
    def is_complete(self) -> bool:
        """True if every flight was worked on at least once, unchanged, and nothing else was."""
        return self.missing == self.changed == 0

    def repeats_only(self, uncommitted: Set[Place]) -> bool:
        """True if only these records were worked on more often than once, and no more often than twice."""
        return self.twice <= uncommitted and self.again <= len(self.twice)


def _keeps_order(stints: Iterable[Stint], flights: Sequence[Flight]) -> bool:
    ranks = {flight.row: (flight.carrier, rank) for rank, flight in enumerate(flights)}
    for stint in stints:
        last: dict[bytes, int] = {}
        for row in stint.rows:
            carrier, rank = ranks.get(row, (b"", -1))
            if rank <= last.get(carrier, -1):
                return False
            last[carrier] = rank
    return True
