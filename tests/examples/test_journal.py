"""A worker's journal tells exactly what it has done, and what another would do again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from logserver_client import Record

from examples.flights.journal import Journal, JournalWriter, checksum
from examples.flights.readback import Place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def writer(path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(path)
    yield writer
    writer.close()


def record(partition: int, offset: int) -> Record[bytes, bytes]:
    return Record("flights", partition, offset, 1000, b"UA", b"%d" % offset, [("row", b"%d" % (100 + offset))])


def read(path: Path) -> Journal:
    journal = Journal(path)
    journal.catch_up()
    return journal


def places(partition: int, *offsets: int) -> set[Place]:
    return {Place(partition, offset) for offset in offsets}


def test_what_was_written_is_read(path: Path, writer: JournalWriter) -> None:
    writer.took([3, 5])
    writer.worked_on([record(3, 0), record(5, 0), record(3, 1)])
    journal = read(path)
    assert (journal.count, journal.partitions, journal.losses) == (3, {3, 5}, 0)
    first = journal.stints[0]
    assert (first.partition, first.offsets, first.rows) == (3, [0, 1], [100, 101])
    assert first.sums == [checksum(b"UA", b"0", 1000), checksum(b"UA", b"1", 1000)]


def test_a_growing_file_is_followed(path: Path, writer: JournalWriter) -> None:
    writer.took([3])
    journal = read(path)
    writer.worked_on([record(3, 0)])
    journal.catch_up()
    journal.catch_up()
    assert journal.count == 1


def test_a_torn_last_line_is_not_there_until_it_is_whole(path: Path, writer: JournalWriter) -> None:
    writer.took([3])
    with path.open("ab") as file:
        file.write(b"r 3 0 100")
    journal = read(path)
    assert journal.count == 0
    with path.open("ab") as file:
        file.write(b" 0011\n")
    journal.catch_up()
    assert journal.count == 1


def test_uncommitted_is_what_lies_behind_the_last_commit(path: Path, writer: JournalWriter) -> None:
    writer.took([3, 5])
    writer.worked_on([record(3, 0), record(3, 1), record(5, 0)])
    assert read(path).uncommitted() == places(3, 0, 1) | places(5, 0)
    writer.committed({3: 2, 5: 1})
    assert read(path).uncommitted() == set()
    writer.worked_on([record(3, 2), record(3, 3)])
    assert read(path).uncommitted() == places(3, 2, 3)


def test_what_was_given_up_is_no_longer_in_doubt(path: Path, writer: JournalWriter) -> None:
    writer.took([3])
    writer.worked_on([record(3, 0)])
    writer.gave_up([3])
    journal = read(path)
    assert (journal.uncommitted(), journal.partitions, journal.losses) == (set(), set(), 0)


def test_a_loss_is_told_from_giving_up(path: Path, writer: JournalWriter) -> None:
    writer.took([3])
    writer.lost([3])
    assert read(path).losses == 1


def test_owning_a_partition_once_more_is_a_stint_of_its_own(path: Path, writer: JournalWriter) -> None:
    for offset in range(2):
        writer.took([3])
        writer.worked_on([record(3, offset)])
        writer.gave_up([3])
    assert [stint.offsets for stint in read(path).stints] == [[0], [1]]


def test_uncommitted_at_a_moment_reaches_to_the_first_commit_behind_it(path: Path) -> None:
    path.write_text(
        "+ 10 3\nr 3 0 100 00\nc 20 3:1\nr 3 1 101 00\nr 3 2 102 00\nc 40 3:3\nr 3 3 103 00\nc 50 3:4\n"
        "+ 60 5\nr 5 0 0 00\n"
    )
    journal = read(path)
    assert journal.uncommitted(15) == places(3, 0)
    assert journal.uncommitted(30) == places(3, 1, 2)
    assert journal.uncommitted(40) == places(3, 1, 2)
    assert journal.uncommitted(45) == places(3, 3)
    assert journal.uncommitted(55) == set()
    assert journal.uncommitted() == places(5, 0)
