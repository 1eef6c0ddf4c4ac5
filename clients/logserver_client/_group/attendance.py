"""Whether the user still comes back for more."""

from typing import Final

_ASK_PART: Final = 20
_ASK_LEAST_S: Final = 0.02
_ASK_MOST_S: Final = 5.0


class Attendance:
    """Asks the user, now and then, to show that they are there; without I/O.

    A user that reads costs nothing between two questions. One that doesn't answer a question for `most_s` is gone: they
    have been away for at least that long, and for a twentieth longer at most.
    """

    def __init__(self, most_s: float) -> None:
        self.most_s = most_s
        self._interval_s = min(max(most_s / _ASK_PART, _ASK_LEAST_S), _ASK_MOST_S)
        self._ask_at_s = 0.0
        self._asked_at_s: float | None = None

    def came_back(self, now_s: float) -> None:
        """The user has been here."""
        self._asked_at_s = None
        self._ask_at_s = now_s + self._interval_s

    def is_to_ask(self, now_s: float) -> bool:
        """True once, when it is time to ask."""
        if self._asked_at_s is not None or now_s < self._ask_at_s:
            return False
        self._asked_at_s = now_s
        return True

    def is_gone(self, now_s: float) -> bool:
        return self._asked_at_s is not None and now_s - self._asked_at_s >= self.most_s

    def next_s(self) -> float:
        """Returns when to look again."""
        return self._ask_at_s if self._asked_at_s is None else self._asked_at_s + self.most_s
