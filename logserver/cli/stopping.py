"""SIGINT and SIGTERM where a command has to leave things in order: looked at between two records."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_ONE_S: Final = 1.0
"""What comes within this time is one signal: `timeout` and others send it to a process and to its group."""

T = TypeVar("T")


class StopSignals:
    """While it is entered, the first SIGINT or SIGTERM sets `asked`; a second one, a second later or more, raises
    KeyboardInterrupt wherever it comes.

    What merely waits runs through `waiting`: there the first one raises as well, as nothing can be half done.

    A signal that was ignored counts, too: a shell without job control starts what it puts into the background that way,
    and whoever sends one to it means it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.asked = False
        self._clock = clock
        self._asked_s = 0.0
        self._is_waiting = False
        self._before: dict[int, Any] = {}

    def waiting(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function that changes nothing if it is interrupted.

        Raises:
            KeyboardInterrupt: a signal has come.
        """
        self._is_waiting = True
        try:
            # Looked at after that: a signal in between has either been seen or raises.
            self.check()
            return function(*arguments)
        finally:
            self._is_waiting = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has come."""
        if self.asked:
            raise KeyboardInterrupt

    def __enter__(self) -> StopSignals:
        # Only the main thread can set handlers, and only it gets them.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._arrived) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _arrived(self, _number: int, _frame: FrameType | None) -> None:
        now_s = self._clock()
        if self.asked:
            if now_s - self._asked_s >= _ONE_S:
                raise KeyboardInterrupt
            return
        self.asked = True
        self._asked_s = now_s
        if self._is_waiting:
            raise KeyboardInterrupt
