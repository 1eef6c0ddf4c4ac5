"""An even pace: so many records a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

import click

from logserver.cli.options import Function

_SLOWEST: Final = 0.001
_FASTEST: Final = 1e9

_MADE_UP_S: Final = 0.1
"""So much lateness is made up for, as a sleep is never exact; after a longer halt no crowd of records follows."""


class Pace:
    """Says when the next record is due.

    Args:
        per_second: records a second; the first is due at once.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 1 / per_second
        self._clock = clock
        self._due_s: float | None = None

    def next_delay_s(self) -> float:
        """Returns how many seconds to wait before the next record, which counts as gone with that."""
        now_s = self._clock()
        due_s = self._due_s
        if due_s is None or now_s - due_s > _MADE_UP_S:
            due_s = now_s
        self._due_s = due_s + self._interval_s
        return max(due_s - now_s, 0.0)


def rate_option(help: str) -> Callable[[Function], Function]:
    """--rate N, records a second."""
    return click.option(
        "--rate", type=click.FloatRange(_SLOWEST, _FASTEST), metavar="N", callback=_is_number, help=help
    )


def _is_number(_ctx: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):
        raise click.BadParameter("it is not a number.")
    return value
