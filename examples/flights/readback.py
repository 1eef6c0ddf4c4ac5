"""What was read back from the server, held against the flights of the file."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from .flights import Flight

ROW_HEADER: Final = "row"
"""The header that carries a flight's row in the file: it tells apart records that look alike."""


class Place(NamedTuple):
    """Where a record is."""

    partition: int
    offset: int


class StoredRecord(Protocol):
    """A record as a client hands it out."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


@dataclass
class ReadBack:
    """All records of one reading, in the order in which they came."""

    rows: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By partition: the rows of its records."""

    rows_by_key: dict[bytes, list[int]] = field(default_factory=lambda: defaultdict(list))
    partitions_by_key: dict[bytes, set[int]] = field(default_factory=lambda: defaultdict(set))
    places: dict[Place, int] = field(default_factory=dict)
    """The row found at each place."""

    changed: int = 0
    """Records whose key, value or timestamp is not the flight's, or that are no flight at all."""

    unordered: int = 0
    """Records whose offset is not above the one before in their partition."""

    @classmethod
    def of(cls, records: Iterable[StoredRecord], flights: Sequence[Flight]) -> "ReadBack":
        """Takes in `records`, each compared with the flight that its header names."""
        read = cls()
        by_row = {flight.row: flight for flight in flights}
        offsets: dict[int, int] = {}
        for record in records:
            read.unordered += record.offset <= offsets.get(record.partition, -1)
            offsets[record.partition] = record.offset
            row = int(dict(record.headers).get(ROW_HEADER) or -1)
            flight = by_row.get(row)
            if flight is None or (record.key, record.value, record.timestamp_ms) != flight[1:]:
                read.changed += 1
            key = record.key or b""
            read.rows[record.partition].append(row)
            read.rows_by_key[key].append(row)
            read.partitions_by_key[key].add(record.partition)
            read.places[Place(record.partition, record.offset)] = row
        return read

    @property
    def count(self) -> int:
        """Records read."""
        return sum(len(rows) for rows in self.rows.values())

    @property
    def twice(self) -> int:
        """Records that are there more often than once."""
        return self.count - len({row for rows in self.rows.values() for row in rows})

    def is_all_of(self, flights: Sequence[Flight]) -> bool:
        """True if every flight was read once, unchanged, and nothing else was read."""
        return self.count == len(flights) and self.twice == self.changed == self.unordered == 0

    def keeps_order_of(self, flights: Sequence[Flight]) -> bool:
        """True if every key is in one partition, and its records are in the order of `flights`."""
        expected: dict[bytes, list[int]] = defaultdict(list)
        for flight in flights:
            expected[flight.carrier].append(flight.row)
        one_partition_each = all(len(partitions) == 1 for partitions in self.partitions_by_key.values())
        return one_partition_each and self.rows_by_key == expected

    def missing(self, acknowledged: Mapping[int, Place]) -> int:
        """How many of the acknowledged rows are not at the place that was acknowledged.

        A place without an offset (-1, see `RecordMetadata`) is anywhere in its partition.
        """
        present = {partition: set(rows) for partition, rows in self.rows.items()}
        return sum(
            row not in present.get(place.partition, ()) if place.offset < 0 else self.places.get(place) != row
            for row, place in acknowledged.items()
        )

    def counts(self) -> list[tuple[int, int, str]]:
        """Partition, number of records, keys: of each partition that holds any."""
        keys = defaultdict(list)
        for key, partitions in self.partitions_by_key.items():
            for partition in partitions:
                keys[partition].append(key.decode(errors="replace"))
        sizes = Counter({partition: len(rows) for partition, rows in self.rows.items()})
        return [(partition, sizes[partition], " ".join(sorted(keys[partition]))) for partition in sorted(sizes)]
