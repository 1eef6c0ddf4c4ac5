"""Leaving the processor to whoever waits for it, many times a millisecond.

Niceness shares processors out, and does not say who goes first: a thread that wakes up waits until the next tick of the
kernel's clock, up to 4 ms, for one that goes on computing (Linux since 6.6, EEVDF). Beside a process of niceness 10
that never stops, p99 of a produce was 3.9 ms for 2.1 without it, and 1.7 with one that yields each 0.1 ms; SCHED_IDLE
made it worse, 8.9 ms (two processors, Linux 6.18).
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_ITEMS: Final = 64
"""Records looked at without a stop, 2 us each."""


def giving_way(items: Sequence[T]) -> Iterator[T]:
    """Yields items, and the processor before the first and between some of them."""
    for start in range(0, len(items), _ITEMS):
        os.sched_yield()
        yield from items[start : start + _ITEMS]
