"""Notices that somebody has set the clock, so that sessions, locks and the like do not end because of that."""

from typing import Final

from logserver_segments.seams import Clock

_SET_MS: Final = 500
"""From this difference on the clock was set, rather than looked at twice."""


class ClockSets:
    """Compares the time of day with the time since the machine started, which nobody sets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._difference_ms = clock.now_ms() - clock.monotonic_ms()

    def set_by_ms(self, now_ms: int) -> int:
        """Returns by how much the clock was set since this was asked last, 0 if it was not.

        Args:
            now_ms: the time of day, just asked for.
        """
        difference_ms = now_ms - self._clock.monotonic_ms()
        set_by_ms = difference_ms - self._difference_ms
        if abs(set_by_ms) < _SET_MS:
            return 0
        self._difference_ms = difference_ms
        return round(set_by_ms)
