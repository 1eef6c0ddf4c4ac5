"""The checks of the demonstration notice what a broken server would do."""

from typing import NamedTuple

from examples.flights.flights import Flight
from examples.flights.readback import ReadBack


class Record(NamedTuple):
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


FLIGHTS = [Flight(row, b"UA" if row % 3 else b"DL", b"flight %d" % row, 1000 + row) for row in range(30)]
PARTITIONS = {b"UA": 4, b"DL": 7}


def stored(rows: list[int]) -> list[Record]:
    """The records a faithful server would return if these rows had been sent."""
    offsets = dict.fromkeys(PARTITIONS.values(), 0)
    records = []
    for row in rows:
        flight = FLIGHTS[row]
        partition = PARTITIONS[flight.carrier]
        headers: list[tuple[str, bytes | None]] = [("row", b"%d" % row)]
        records.append(
            Record(partition, offsets[partition], flight.timestamp_ms, flight.carrier, flight.value, headers)
        )
        offsets[partition] += 1
    return records


ALL = stored(list(range(30)))


def holds(records: list[Record]) -> tuple[bool, bool]:
    read = ReadBack.of(records, FLIGHTS)
    return read.is_all_of(FLIGHTS), read.keeps_order_of(FLIGHTS)


def test_a_faithful_server_passes() -> None:
    assert holds(ALL) == (True, True)


def test_partitions_may_come_in_any_order() -> None:
    assert holds(sorted(ALL, key=lambda record: record.partition)) == (True, True)


def test_a_lost_record_is_noticed() -> None:
    assert holds(ALL[:10] + ALL[11:]) == (False, False)


def test_a_record_stored_twice_is_noticed() -> None:
    rows = [*range(30), 29]
    assert holds(stored(rows)) == (False, False)
    assert ReadBack.of(stored(rows), FLIGHTS).twice == 1


def test_one_record_in_the_place_of_another_is_noticed() -> None:
    assert holds(stored([*range(29), 28]))[0] is False


def test_records_of_a_key_in_another_order_are_noticed() -> None:
    assert holds(stored([3, 0, *range(1, 3), *range(4, 30)])) == (True, False)


def test_a_key_in_two_partitions_is_noticed() -> None:
    moved = ALL[-1]._replace(partition=0, offset=0)
    assert holds([*ALL[:-1], moved]) == (True, False)


def test_offsets_that_do_not_rise_are_noticed() -> None:
    assert holds([*ALL[:-1], ALL[-1]._replace(offset=0)])[0] is False


def test_a_changed_value_key_or_timestamp_is_noticed() -> None:
    last = ALL[-1]
    for changed in (last._replace(value=b"?"), last._replace(timestamp_ms=0), last._replace(key=None)):
        assert holds([*ALL[:-1], changed])[0] is False


def test_a_foreign_record_is_noticed() -> None:
    assert holds([*ALL, Record(0, 0, 0, None, None, [])])[0] is False


def test_acknowledged_records_are_looked_for_at_their_places() -> None:
    read = ReadBack.of(ALL, FLIGHTS)
    places = {row: place for place, row in read.places.items()}
    assert read.missing(places) == 0
    assert read.missing(places | {0: places[1]}) == 1
    assert read.missing(places | {0: places[0]._replace(offset=-1)}) == 0
    assert read.missing(places | {30: places[0]._replace(offset=-1)}) == 1
