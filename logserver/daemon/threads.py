"""Work that may never end, on a thread that the end of the process does not wait for."""

import asyncio
import contextlib
import threading
from collections.abc import Callable


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
