"""The checks of shared work notice what a broken coordinator or client would do."""

from examples.flights.flights import Flight
from examples.flights.journal import Stint, checksum
from examples.flights.readback import Place
from examples.flights.tally import Tally

FLIGHTS = [Flight(row, b"UA" if row % 3 else b"DL", b"flight %d" % row, 1000 + row) for row in range(30)]
PARTITIONS = {b"UA": 4, b"DL": 7}
ROWS = {4: [row for row in range(30) if row % 3], 7: list(range(0, 30, 3))}
"""By partition: the rows of the records in it, by offset."""


def stint(partition: int, first: int = 0, end: int | None = None) -> Stint:
    """A faithful worker's time with a partition, from one offset up to another."""
    offsets = range(len(ROWS[partition]))[first:end]
    rows = [ROWS[partition][offset] for offset in offsets]
    sums = [checksum(*FLIGHTS[row][1:]) for row in rows]
    return Stint(partition, began_ns=0, offsets=list(offsets), rows=rows, sums=sums)


def tally(*stints: Stint) -> Tally:
    return Tally(stints, FLIGHTS)


def test_work_that_was_shared_well_passes() -> None:
    found = tally(stint(4, end=8), stint(4, 8), stint(7))
    assert (found.is_complete, found.keeps_order, found.count, found.again) == (True, True, 30, 0)
    assert found.repeats_only(set())


def test_a_record_that_nobody_has_seen_is_noticed() -> None:
    found = tally(stint(4, end=8), stint(4, 9), stint(7))
    assert (found.is_complete, found.missing) == (False, 1)


def test_what_was_seen_twice_is_counted_and_named() -> None:
    found = tally(stint(4, end=8), stint(4, 6), stint(7))
    assert (found.is_complete, found.keeps_order, found.again) == (True, True, 2)
    assert found.twice == {Place(4, 6), Place(4, 7)}


def test_seen_twice_is_fine_only_where_nothing_was_committed() -> None:
    found = tally(stint(4, end=8), stint(4, 6), stint(7))
    assert found.repeats_only({Place(4, 5), Place(4, 6), Place(4, 7)})
    assert not found.repeats_only({Place(4, 7), Place(4, 8), Place(4, 9)})
    assert not found.repeats_only(set())


def test_seen_three_times_is_not_fine() -> None:
    found = tally(stint(4), stint(4, 19), stint(4, 19), stint(7))
    assert not found.repeats_only({Place(4, 19)})


def test_a_changed_record_is_noticed() -> None:
    changed = stint(7)
    changed.sums[3] = checksum(b"DL", b"something else", 1009)
    assert (tally(stint(4), changed).is_complete, tally(stint(4), changed).changed) == (False, 1)


def test_a_record_in_the_place_of_another_is_noticed() -> None:
    swapped = stint(7)
    swapped.rows[3], swapped.sums[3] = swapped.rows[2], swapped.sums[2]
    found = tally(stint(4), swapped)
    assert (found.is_complete, found.keeps_order, found.missing) == (False, False, 1)


def test_two_records_at_one_place_are_noticed() -> None:
    moved = stint(4, 19)
    moved.offsets[0] = 3
    assert not tally(stint(4), moved, stint(7)).is_complete


def test_one_record_at_two_places_is_noticed() -> None:
    moved = stint(4, 19)
    moved.offsets[0] = 20
    assert not tally(stint(4), moved, stint(7)).is_complete


def test_a_record_that_is_no_flight_is_noticed() -> None:
    foreign = stint(7)
    foreign.offsets.append(10)
    foreign.rows.append(-1)
    foreign.sums.append(checksum(None, None, 0))
    assert not tally(stint(4), foreign).is_complete


def test_records_of_a_key_in_another_order_are_noticed() -> None:
    mixed = stint(4)
    for column in (mixed.offsets, mixed.rows, mixed.sums):
        column[2], column[3] = column[3], column[2]
    assert not tally(mixed, stint(7)).keeps_order


def test_an_owner_that_goes_back_is_noticed() -> None:
    again, tail = stint(4), stint(4, 15)
    for column, more in ((again.offsets, tail.offsets), (again.rows, tail.rows), (again.sums, tail.sums)):
        column.extend(more)
    assert not tally(again, stint(7)).keeps_order
