"""An even pace, on a clock of the test's own."""

from fractions import Fraction

import pytest

from logserver.cli.pace import Pace


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def test_records_are_due_one_interval_apart_and_the_first_at_once():
    clock = Clock()
    pace = Pace(4, clock)
    gone = []
    for _ in range(9):
        clock.now_s += pace.next_delay_s()
        gone.append(clock.now_s - 1000)
    assert gone == [number / 4 for number in range(9)]


def test_a_record_that_comes_late_by_little_is_made_up_for():
    clock = Clock()
    pace = Pace(10, clock)
    assert pace.next_delay_s() == 0
    clock.now_s += 0.15
    assert pace.next_delay_s() == 0
    assert pace.next_delay_s() == pytest.approx(0.05)


def test_after_a_halt_no_crowd_follows():
    clock = Clock()
    pace = Pace(10, clock)
    pace.next_delay_s()
    clock.now_s += 60
    assert pace.next_delay_s() == 0
    assert pace.next_delay_s() == pytest.approx(0.1)


def test_sleeps_that_last_longer_than_asked_leave_the_rate_as_it_is():
    clock = Clock()
    pace = Pace(100_000, clock)
    for _ in range(100_000):
        delay_s = pace.next_delay_s()
        if delay_s > 0:
            clock.now_s += delay_s + float(Fraction(1, 20_000))
    assert clock.now_s - 1000 == pytest.approx(1, rel=0.001)
