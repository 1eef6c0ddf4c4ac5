"""Medians, spreads, percentiles and how they are written."""

import pytest

from benchmarks.support.numbers import Spread, pair_ratios, percentile, spread
from benchmarks.support.pages import number


def test_a_spread_has_median_least_and_most() -> None:
    assert spread([3, 1, 2]) == Spread(2, 1, 3)


def test_ratios_are_of_pairs_and_not_of_medians() -> None:
    # The machine was half as fast in the second round, for both.
    assert pair_ratios([6, 3], [10, 5]) == Spread(0.6, 0.6, 0.6)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 51), (99, 100), (99.9, 100), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile(list(range(1, 101)), percent) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99.9) == 7.0


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.012"), (0.0, "0.00")]
)
def test_numbers_have_the_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text
