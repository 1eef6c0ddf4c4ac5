"""Medians, spreads and percentiles."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple


class Spread(NamedTuple):
    """Several measurements of the same thing."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Returns the median with the smallest and the largest of at least one value."""
    return Spread(median(values), min(values), max(values))


def pair_ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Returns the spread of the ratios of pairs that ran one after the other.

    What the machine does at the time weighs on both of a pair, so a ratio holds where neither of its numbers does.
    """
    return spread([our / their for our, their in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the nearest-rank percentile of at least one value, in rising order already."""
    return values[min(int(len(values) * percent / 100), len(values) - 1)]
