"""Clock, workers and committer of a simulated machine: everything happens on the loop, later, in an order of chance."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from random import Random
from typing import Any, Final, ParamSpec, TypeVar

from logserver_segments.committer import FlushRounds
from logserver_segments.seams import Disk, Moved
from logserver_segments.steps import steps_by_runs

from logserver.daemon.threads import Threads
from logserver.simulation.disk import PowerCut, RecordingDisk
from logserver.simulation.disk.recording import ANYBODY, FLUSHER
from logserver.simulation.loop import SimulatedLoop

T = TypeVar("T")
P = ParamSpec("P")

_EPOCH_MS: Final = 1_700_000_000_000
"""Wall-clock time when a simulation begins."""


class SimulatedClock:
    """The loop's time, in milliseconds."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def follow(self, moved: Moved) -> None:
        """As `Clock.follow`: nobody moves it but the loop, whose timers move with it."""

    def unfollow(self, moved: Moved) -> None:
        """As `Clock.unfollow`."""

    def now_ms(self) -> int:
        """As `Clock.now_ms`."""
        return _EPOCH_MS + int(self._loop.time() * 1000)

    def monotonic_ms(self) -> float:
        """As `Clock.monotonic_ms`."""
        return self._loop.time() * 1000


class SimulatedWorkers:
    """Does work after a delay, at once as a whole: what it finds is as of then, as with a thread."""

    def __init__(self, loop: SimulatedLoop, random: Random, most_delay_s: float) -> None:
        self._loop = loop
        self._random = random
        self._most_delay_s = most_delay_s

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """As `Workers.run`."""
        done: asyncio.Future[T] = self._loop.create_future()

        def work() -> None:
            try:
                result = function(*args, **kwargs)
            except PowerCut:
                raise
            except BaseException as error:
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(result)

        self._loop.call_later(self._random.uniform(0, self._most_delay_s), work)
        return done

    def steps(
        self, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """As `Workers.steps`."""
        return steps_by_runs(self, function, *args, **kwargs)

    def close(self) -> None:
        """As `ThreadWorkers.close`; what is under way ends by itself."""


class SimulatedCommitter(FlushRounds):
    """The server's own rounds of flushing, each after a delay, and reported after another."""

    def __init__(self, disk: Disk, directory: str, loop: SimulatedLoop, random: Random, most_delay_s: float) -> None:
        super().__init__(disk, directory, self._schedule)
        self._loop = loop
        self._random = random
        self._most_delay_s = most_delay_s
        self._is_flushing = False
        # Flushed, and not reported yet.
        self._unreported: list[Any] = []

    def _schedule(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_later(self._delay_s(), self._round)

    def _delay_s(self) -> float:
        return self._random.uniform(0, self._most_delay_s)

    def _round(self) -> None:
        entries, _ = self._take()
        # What becomes dirty while the round is under way wakes the next one.
        if entries:
            self._flush(entries)
            self._unreported = entries
            self._loop.call_later(self._delay_s(), self._end_round)
        else:
            self._is_flushing = False

    def _flush(self, entries: list[Any]) -> None:
        disk = self._disk
        if not isinstance(disk, RecordingDisk):
            super()._flush(entries)
            return
        disk.caller = FLUSHER
        try:
            super()._flush(entries)
        finally:
            disk.caller = ANYBODY

    def _end_round(self) -> None:
        self._report_unreported()
        self._loop.call_later(self._delay_s(), self._round)

    def _report_unreported(self) -> None:
        entries, self._unreported = self._unreported, []
        if entries:
            self._report(entries)

    def close(self) -> None:
        """Flushes what is pending, and reports."""
        with self._lock:
            self._closed = True
        self._report_unreported()
        entries, _ = self._take()
        if entries:
            self._flush(entries)
            self._report(entries)


class SimulatedThreads(Threads):
    """What does the work of a daemon's threads without any.

    Args:
        most_flush_s, most_work_s: how long a flush, or other work, takes at most.
    """

    def __init__(self, loop: SimulatedLoop, random: Random, most_flush_s: float, most_work_s: float) -> None:
        self._loop = loop
        self._random = random
        self._most_flush_s = most_flush_s
        self._most_work_s = most_work_s

    def workers(self, count: int) -> SimulatedWorkers:
        """As `Threads.workers`."""
        return SimulatedWorkers(self._loop, self._random, self._most_work_s)

    def process(self) -> SimulatedWorkers:
        """As `Threads.process`."""
        return self.workers(1)

    def committer(self, disk: Disk, path: str) -> SimulatedCommitter:
        """As `Threads.committer`."""
        return SimulatedCommitter(disk, path, self._loop, self._random, self._most_flush_s)

    async def aside(self, function: Callable[[], None]) -> None:
        """As `Threads.aside`."""
        await asyncio.sleep(self._random.uniform(0, self._most_work_s))
        function()
