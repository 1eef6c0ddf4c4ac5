"""The event loop that the synchronous classes share: one daemon thread a process, there while a client is open.

A forked child has no such thread, and gRPC itself does not survive a fork: make clients after forking, or start
processes with "spawn".
"""

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from logserver_client.errors import client_closed

_log = logging.getLogger("logserver_client")

T = TypeVar("T")
Close = Callable[[], Coroutine[Any, Any, None]]

_EXIT_TIMEOUT_S: Final = 2.0


class BackgroundLoop:
    """An event loop whose daemon thread is started for its first user and ended after its last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[int, Close] = {}
        self._next_user = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # Kept between users and never closed before the interpreter ends: what is left of calls that were cancelled
        # comes a little later, and gRPC would put it into a closed loop.
        self._kept: asyncio.AbstractEventLoop | None = None

    def acquire(self, close: Close) -> int:
        """Makes sure the loop runs and returns a number for `release`.

        Args:
            close: ends the user's calls and channels; run when the interpreter exits before `release` was called.
        """
        with self._lock:
            if self._loop is None:
                self._start()
            self._next_user += 1
            self._users[self._next_user] = close
            return self._next_user

    def release(self, user: int) -> None:
        """Ends the loop if this was its last user. Not to be called on the loop's own thread."""
        with self._lock:
            if self._users.pop(user, None) is not None and not self._users:
                self._stop()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise client_closed("the client is closed")
        return self._loop

    def on_loop_thread(self) -> bool:
        """True on the loop's own thread: in a delivery callback, where waiting for the loop would never end."""
        return self._thread is not None and threading.get_ident() == self._thread.ident

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Runs a coroutine on the loop and returns its result to the calling thread.

        An exception that interrupts the wait (KeyboardInterrupt, the timeout) cancels the coroutine.

        Raises:
            RuntimeError: called on the loop's own thread.
            TimeoutError: it took longer than `timeout_s`.
        """
        try:
            loop = self.loop
            if self.on_loop_thread():
                raise RuntimeError("this call waits, which a callback must not do: make it in a thread of your own")
        except BaseException:
            coroutine.close()
            raise
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def close_all(self) -> None:
        """Closes whatever is still open, without waiting for records that are under way."""
        with self._lock:
            users = list(self._users.values())
            self._users.clear()
            if self._loop is None:
                self._close_kept()
                return
            for close in users:
                try:
                    asyncio.run_coroutine_threadsafe(close(), self._loop).result(_EXIT_TIMEOUT_S)
                except Exception as error:
                    _log.warning("a client did not close at exit error=%r", error)
            self._stop()
            self._close_kept()

    def _close_kept(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _start(self) -> None:
        loop = self._kept or asyncio.new_event_loop()
        self._kept = loop
        started = threading.Event()
        loop.call_soon(started.set)
        thread = threading.Thread(target=_run_loop, args=(loop,), name="logserver-client", daemon=True)
        thread.start()
        started.wait()
        self._loop, self._thread = loop, thread

    def _stop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    finally:
        asyncio.set_event_loop(None)


BACKGROUND: Final = BackgroundLoop()
atexit.register(BACKGROUND.close_all)
