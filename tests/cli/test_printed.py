"""What a member of a group has printed and what of that is committed, without a server."""

import pytest
from logserver_client import Record, TopicPartition

from logserver.cli.printed import Printed

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)


def records(tp, *offsets):
    return [Record(tp.topic, tp.partition, offset, 0, None, b"", ()) for offset in offsets]


def offsets(found):
    return [record.offset for record in found]


def test_positions_are_behind_what_was_printed():
    printed = Printed()
    printed.take(ZERO, 3, 3)
    printed.take(ONE, 0, None)
    printed.printed([*records(ZERO, 3, 4), *records(ONE, 0), *records(ZERO, 7)])
    assert printed.positions == {ZERO: 8, ONE: 1}
    assert printed.changed() == {ZERO: 8, ONE: 1}


def test_the_start_of_a_partition_is_committed_unless_it_is():
    printed = Printed()
    printed.take(ZERO, 3, 3)
    printed.take(ONE, 5, None)
    assert printed.changed() == {ONE: 5}
    assert printed.unsaved([ZERO, ONE]) == []


def test_what_is_committed_is_not_committed_again():
    printed = Printed()
    printed.take(ZERO, 0, None)
    printed.printed(records(ZERO, 0, 1))
    printed.committed({ZERO: 2, ONE: 9})
    assert printed.changed() == {}
    printed.printed(records(ZERO, 2))
    assert printed.changed() == {ZERO: 3}
    assert printed.unsaved([ZERO, ONE]) == [ZERO]


def test_an_answer_about_a_partition_that_is_gone_changes_nothing():
    printed = Printed()
    printed.take(ZERO, 0, None)
    printed.drop([ZERO, ONE])
    printed.committed({ZERO: 2})
    assert printed.changed() == printed.positions == {}
    printed.printed(records(ZERO, 0))
    assert printed.positions == {}


def test_a_position_moves_over_what_nobody_gets_to_see_and_back_after_a_reset():
    printed = Printed()
    printed.take(ZERO, 100, 100)
    printed.moved(ZERO, 102)
    assert printed.changed() == {ZERO: 102}
    printed.moved(ZERO, 7)
    assert printed.changed() == {ZERO: 7}


class TestAFirstOffset:
    """--from names an offset that a partition has not reached."""

    def test_nothing_is_printed_or_committed_before_it(self):
        printed = Printed()
        printed.take(ZERO, 3, None, first=5)
        printed.take(ONE, 3, 3)
        both = [*records(ZERO, 3, 4), *records(ONE, 3, 4)]
        assert [(record.partition, record.offset) for record in printed.wanted(both)] == [(1, 3), (1, 4)]
        printed.printed(both[:1])
        assert printed.changed() == {}
        printed.printed(both)
        assert printed.changed() == {ZERO: 5, ONE: 5}
        assert offsets(printed.wanted(records(ZERO, 5, 6))) == [5, 6]

    def test_one_that_is_reached_is_the_start(self):
        printed = Printed()
        printed.take(ZERO, 5, None, first=5)
        assert printed.changed() == {ZERO: 5}


class TestEnds:
    def test_nothing_from_the_end_on_is_printed_or_committed(self):
        printed = Printed({ZERO: 5})
        printed.take(ZERO, 3, None)
        both = records(ZERO, 3, 4, 5, 6)
        assert offsets(printed.wanted(both)) == [3, 4]
        assert not printed.are_all_finished
        printed.printed(both)
        assert printed.changed() == {ZERO: 5}
        assert printed.finished == [ZERO]
        assert printed.are_all_finished

    def test_a_partition_that_came_later_is_at_its_end(self):
        printed = Printed({ZERO: 5})
        printed.take(ONE, 0, None)
        assert printed.finished == [ONE]
        assert printed.wanted(records(ONE, 0, 1)) == []

    def test_what_others_committed_beyond_the_end_stays(self):
        printed = Printed({ZERO: 5})
        printed.take(ZERO, 9, 9)
        printed.moved(ZERO, 12)
        assert printed.changed() == {}
        assert printed.finished == [ZERO]

    @pytest.mark.parametrize("ends", [{ZERO: 0}, {}])
    def test_an_empty_partition_is_at_its_end(self, ends):
        printed = Printed(ends)
        printed.take(ZERO, 0, None)
        assert printed.are_all_finished

    def test_without_ends_nothing_is_ever_finished(self):
        printed = Printed()
        assert not printed.are_all_finished
        printed.take(ZERO, 9, 9)
        assert printed.finished == []
