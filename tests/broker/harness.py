"""Seams for tests of the broker: time that stands still, work done at once, committers on a leash."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from logserver_records.batch import whole_batches
from logserver_records.codec import build_batch, decode_batch
from logserver_segments.committer import Committable, LogEnd, Loss, LossReason
from logserver_segments.seams import File, Moved

NOW_MS = 1_700_000_000_000


class FakeClock:
    """A clock that only `advance` moves."""

    def __init__(self) -> None:
        self.wall_ms = NOW_MS
        self.monotonic = 0.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> float:
        return self.monotonic

    def follow(self, moved: Moved) -> None: ...

    def unfollow(self, moved: Moved) -> None: ...

    def advance(self, milliseconds: int) -> None:
        self.wall_ms += milliseconds
        self.monotonic += milliseconds

    def sleep_ms(self, ms: float) -> None:
        self.monotonic += ms


class SeededRandom(random.Random):
    """Fits the seam as it is; named for what it is used for."""


class InlineWorkers:
    """Does the work at once, on the caller's thread; the result still has to be awaited."""

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(function(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done

    async def steps(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        for value in function(*args, **kwargs):
            yield value


class HeldCommitter:
    """Commits nothing by itself: `commit` and `lose` report what a test wants, when it wants it."""

    def __init__(self) -> None:
        self.pending: list[tuple[Committable, LogEnd]] = []
        self.handed_over = asyncio.Event()

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        self.pending.append((log, end))
        self.handed_over.set()

    def discard(self, log: Committable) -> None:
        self.pending = [entry for entry in self.pending if entry[0] is not log]

    def commit(self, count: int | None = None) -> None:
        """Reports everything that was handed over, or only the first so many."""
        pending, self.pending = self.pending[:count], self.pending[len(self.pending[:count]) :]
        for log, end in pending:
            log.committed(end)

    async def commit_next(self) -> None:
        """Waits until something is handed over, and reports it."""
        while not self.pending:
            self.handed_over.clear()
            await self.handed_over.wait()
        self.commit()

    def lose(self, log: Committable, reason: LossReason = LossReason.FAILED, message: str = "the disk burned") -> None:
        """Reports a log as lost."""
        self.discard(log)
        log.lost(Loss(reason, message))


class DelayedCommitter:
    """As an object store: a round begins every 100 ms and takes 300 ms, so several are under way at a time.

    Its milliseconds are turns of the event loop, ten each, so tests need no timer.
    """

    ROUND_MS = 100
    TAKES_MS = 300
    TURN_MS = 10

    def __init__(self) -> None:
        self._now = 0
        self._open: dict[Committable, LogEnd] = {}
        self._opened_ms = 0
        # (when it is done, what it holds), in order.
        self._rounds: list[tuple[int, dict[Committable, LogEnd]]] = []
        self._ticking = False
        self.most_under_way = 0

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        if not self._open:
            self._opened_ms = self._now
        self._open[log] = end
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_soon(self._tick)

    def discard(self, log: Committable) -> None:
        self._open.pop(log, None)
        for _, logs in self._rounds:
            logs.pop(log, None)

    def _tick(self) -> None:
        self._now += self.TURN_MS
        if self._open and self._now - self._opened_ms >= self.ROUND_MS:
            self._rounds.append((self._now + self.TAKES_MS, self._open))
            self._open = {}
        self.most_under_way = max(self.most_under_way, len(self._rounds))
        while self._rounds and self._rounds[0][0] <= self._now:
            for log, end in list(self._rounds[0][1].items()):
                # An earlier report of this round may have discarded it.
                if log in self._rounds[0][1]:
                    log.committed(end)
            self._rounds.pop(0)
        self._ticking = bool(self._open or self._rounds)
        if self._ticking:
            asyncio.get_running_loop().call_soon(self._tick)


async def until(condition: Callable[[], bool]) -> None:
    """Lets others run until something holds that nothing tells of."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)


def batch(*values: bytes | str, timestamp_ms: int = NOW_MS, **fields: Any) -> bytes:
    """Returns a record batch of values without keys."""
    return build_batch(
        ((timestamp_ms, None, value.encode() if isinstance(value, str) else value, ()) for value in values), **fields
    )


def keyed_batch(*items: tuple[bytes | None, bytes | None], **fields: Any) -> bytes:
    """Returns a record batch of (key, value)."""
    return build_batch(((NOW_MS, key, value, ()) for key, value in items), **fields)


def records_of(data: Any) -> list[Any]:
    """Returns the records of whole batches."""
    return [
        record
        for position, _ in whole_batches(data)
        for record in decode_batch(data, position, max_decompressed_bytes=1 << 26, verify_crc=True)
    ]


def values_of(data: Any) -> list[bytes]:
    """Returns the values of the records of whole batches."""
    return [record.value for record in records_of(data)]


def tree(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Returns every file below a directory with its content."""
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.relpath(os.path.join(folder, name), path)] = file.read()
    return found
