"""Spreading work over processes: Python computes in one thread of a process at a time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Final, TypeVar

from logserver.cli.failures import CommandFailed

T = TypeVar("T")
R = TypeVar("R")

MOST_JOBS: Final = 8
SMALL_BYTES: Final = 64 << 20
"""Less work than this is done before other processes are there."""
_AHEAD: Final = 4


class ProcessEnded(CommandFailed):
    """A process was killed in the middle of its work."""


def default_jobs() -> int:
    """Returns how many processes there are unless told otherwise: one for each processor, 8 at most."""
    return min(len(os.sched_getaffinity(0)), MOST_JOBS)


def spread(function: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[tuple[T, R]]:
    """Yields (task, result) as they are done, in any order.

    Args:
        function: of a module, so that other processes find it.
        jobs: how many processes work at a time; with 1 this one does everything.

    Raises:
        ProcessEnded: one of them was killed.
        What `function` raises.
    """
    if jobs == 1 or len(tasks) == 1:
        for task in tasks:
            yield task, function(task)
        return
    # Not by fork: what other threads hold at that moment would be held for ever.
    context = get_context("forkserver")
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=_leave_interrupts) as pool:
        try:
            yield from _results(pool, function, iter(tasks), jobs * _AHEAD)
        except BrokenProcessPool as error:
            message = "One of the processes was killed, perhaps because memory ran out: `--jobs 1` takes the least."
            raise ProcessEnded(message) from error


def _leave_interrupts() -> None:
    # An interrupt from the keyboard comes to all of them; the one who has the others ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _results(
    pool: ProcessPoolExecutor, function: Callable[[T], R], tasks: Iterable[T], ahead: int
) -> Iterator[tuple[T, R]]:
    waiting: dict[Future[R], T] = {}
    tasks = iter(tasks)
    try:
        while True:
            for task in islice(tasks, ahead - len(waiting)):
                waiting[pool.submit(function, task)] = task
            if not waiting:
                return
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        for future in waiting:
            future.cancel()
