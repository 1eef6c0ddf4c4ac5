"""The real clock, randomness and worker threads behind their seams; worker processes are in `processes`."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from logserver_segments.seams import Moved
from logserver_segments.steps import steps_by_runs

T = TypeVar("T")
P = ParamSpec("P")


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic_ns() / 1_000_000

    def follow(self, moved: Moved) -> None:
        """Nobody moves these clocks forward, both at once."""

    def unfollow(self, moved: Moved) -> None:
        """As `follow`."""

    def sleep_ms(self, ms: float) -> None:
        time.sleep(ms / 1000)


class SystemRandom(random.SystemRandom):
    """The operating system's randomness."""

    def randbytes(self, n: int) -> bytes:
        return self.getrandbits(n * 8).to_bytes(n, "little") if n else b""


class ThreadWorkers:
    """A bounded pool of threads for the running asyncio loop.

    Args:
        threads: how many at most; further work waits in line.
    """

    def __init__(self, threads: int = 4) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="logserver-worker")

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    def steps(
        self, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        return steps_by_runs(self, function, *args, **kwargs)

    def close(self) -> None:
        """Waits for the work under way and ends the threads."""
        self._pool.shutdown(wait=True)
