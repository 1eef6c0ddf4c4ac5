"""Delays double up to a ceiling, are spread over all of it, and start anew after a success."""

from random import Random

from logserver_client._backoff import Backoff


class Highest(Random):
    """Draws the end of every range."""

    def random(self) -> float:
        return 1.0


def test_the_ceiling_doubles_up_to_the_most() -> None:
    backoff = Backoff(100, 1000, Highest())
    assert [backoff.next_delay_s() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_success_starts_it_again() -> None:
    backoff = Backoff(100, 1000, Highest())
    for _ in range(5):
        backoff.next_delay_s()
    backoff.reset()
    assert backoff.next_delay_s() == 0.1


def test_many_failures_do_not_overflow() -> None:
    backoff = Backoff(100, 1000, Highest())
    assert [backoff.next_delay_s() for _ in range(5000)][-1] == 1.0


def test_delays_are_drawn_from_all_of_the_range() -> None:
    backoff = Backoff(1000, 1000, Random(7))
    delays = [backoff.next_delay_s() for _ in range(2000)]
    assert 0 <= min(delays) < 0.05
    assert 0.95 < max(delays) < 1.0
