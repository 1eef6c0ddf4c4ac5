"""The time of a server under test, which can be moved forward."""

import asyncio

from logserver_segments.machine import SystemClock
from logserver_segments.seams import Moved


class VirtualClock:
    """The machine's time and what it has been moved forward by. It goes on like the machine's, also between stop and
    start of its server."""

    def __init__(self) -> None:
        self._machine = SystemClock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ahead_ms = 0
        self._followers: list[Moved] = []

    def advance(self, seconds: float) -> None:
        """Moves the server's time forward, at once. When it returns, what has come due by it has been done: sessions
        and transactions have ended that were over, old segments are gone.

        It is one step: what is begun by what has come due, and takes time itself, is waited for from the new time on.
        Clients and sockets know nothing of it. A server that is stopped finds that so much time has gone by when it
        starts.

        Args:
            seconds: 0 or more; parts of a millisecond do not count.

        Raises:
            ValueError: less than 0, or no finite number.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"time goes forward only, by a finite number of seconds; {seconds} is none")
        milliseconds = int(seconds * 1000)
        if self._loop is None:
            self._ahead_ms += milliseconds
        else:
            asyncio.run_coroutine_threadsafe(self._advance(milliseconds), self._loop).result()

    async def _advance(self, milliseconds: int) -> None:
        # On the server's own thread: nobody there reads one of the times before it, and the other one behind it.
        self._ahead_ms += milliseconds
        await asyncio.gather(*(moved() for moved in tuple(self._followers)))

    def now_ms(self) -> int:
        """Returns the server's time in milliseconds since the Unix epoch, as in the timestamps of records."""
        return self._machine.now_ms() + self._ahead_ms

    def monotonic_ms(self) -> float:
        """Returns milliseconds since an arbitrary start; only `advance` makes it leap."""
        return self._machine.monotonic_ms() + self._ahead_ms

    def runs_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Takes in where the server runs; None while it is stopped. For the server."""
        self._loop = loop

    def follow(self, moved: Moved) -> None:
        """See `Clock.follow`; for the server."""
        self._followers.append(moved)

    def unfollow(self, moved: Moved) -> None:
        """See `Clock.unfollow`; for the server. Fine if it does not follow."""
        if moved in self._followers:
            self._followers.remove(moved)
