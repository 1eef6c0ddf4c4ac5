"""The calls under way, so that stopping the server need not wait for those that would never end by themselves."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from logserver.errors import ErrorCode, LogServerError


class Calls:
    """Long calls: streams and long polls.

    A server that stops cancels them; each then answers what it still can and ends with `stopping()`.
    """

    def __init__(self) -> None:
        self.closing = False
        self._tasks: set[asyncio.Task[object]] = set()

    @contextmanager
    def track(self) -> Iterator[None]:
        """Counts the current task as a long call while inside; turns the server's own cancelling into an error.

        Raises:
            LogServerError: NOT_LEADER_OR_FOLLOWER, because the server is stopping.
        """
        task = asyncio.current_task()
        assert task is not None
        if self.closing:
            raise self.stopping()
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self.closing:
                raise
            task.uncancel()
            raise self.stopping() from None
        finally:
            self._tasks.discard(task)

    @staticmethod
    def stopping() -> LogServerError:
        """The error that calls end with when the server stops: retriable, for the next server."""
        return LogServerError(ErrorCode.not_leader_or_follower, "the server is stopping; try again when it is back")

    def close(self) -> None:
        """Ends all long calls, and those that still come."""
        self.closing = True
        for task in self._tasks:
            task.cancel()
