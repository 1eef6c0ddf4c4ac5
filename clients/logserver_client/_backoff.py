"""How long to wait before trying again: exponential backoff with full jitter."""

from random import Random
from typing import Final

_MOST_DOUBLINGS: Final = 30


class Backoff:
    """Delays that grow with each failure in a row and fall back to the first after a success.

    The n-th delay is drawn evenly from [0, min(most, first * 2^n)): of many clients that lost the same server, each
    comes back at another moment.
    """

    __slots__ = ("_first_s", "_most_s", "_random", "failures")

    def __init__(self, first_ms: float, most_ms: float, random: Random) -> None:
        self._first_s = first_ms / 1000
        self._most_s = most_ms / 1000
        self._random = random
        self.failures = 0

    def next_delay_s(self) -> float:
        """Returns the next delay in seconds and counts one more failure."""
        ceiling = min(self._most_s, self._first_s * 2.0 ** min(self.failures, _MOST_DOUBLINGS))
        self.failures += 1
        return self._random.random() * ceiling

    def reset(self) -> None:
        """Starts again at the first delay."""
        self.failures = 0
