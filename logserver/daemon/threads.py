"""The threads of a daemon: those that work, those that flush, and those for work that may never end."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from logserver_segments.committer import Committer, FlushCommitter
from logserver_segments.machine import ThreadWorkers
from logserver_segments.processes import ProcessWorkers
from logserver_segments.seams import Disk, Workers


class ClosableWorkers(Workers, Protocol):
    """Workers that end."""

    def close(self) -> None:
        """Waits for the work under way and ends them."""
        ...


class ClosableCommitter(Committer, Protocol):
    """A committer that ends."""

    def close(self) -> None:
        """Flushes what is pending; what it has posted until then is still to be run."""
        ...


class Threads:
    """Makes a daemon's threads. A simulation makes what does the same work without any."""

    def workers(self, count: int) -> ClosableWorkers:
        """Returns workers, so many at most at a time."""
        return ThreadWorkers(count)

    def process(self) -> ClosableWorkers:
        """Returns a worker process, for one piece of work at a time."""
        return ProcessWorkers()

    def committer(self, disk: Disk, path: str) -> ClosableCommitter:
        """Returns what flushes the logs of a data directory, for the running event loop."""
        loop = asyncio.get_running_loop()
        return FlushCommitter(disk, path, loop.call_soon_threadsafe, loop.call_soon)

    async def aside(self, function: Callable[[], None]) -> None:
        """Runs what may never end, and waits for it as `in_thread` does."""
        await in_thread(function)


async def in_thread(function: Callable[[], None]) -> None:
    """Runs a function on a thread of its own and waits for its end; raises what it raises.

    Whoever gives up waiting leaves it running. `asyncio.to_thread` would not do: the loop's threads are waited for when
    the loop is closed, and those of an executor when the interpreter ends.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            function()
        except BaseException as caught:
            error = caught
        # The loop is gone if nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name=f"logserver-{getattr(function, '__name__', 'work')}", daemon=True).start()
    await done
