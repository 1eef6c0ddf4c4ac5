"""Appends to logs of a data directory, made durable by group commit."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from logserver_records import build_batch
from logserver_segments.committer import FlushCommitter, Loss
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk
from logserver_segments.log import Log
from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers

from benchmarks.engine.runs import Run

_NODE_ID: Final = 1
_TOPIC_ID: Final = "AAAAAAAAAAAAAAAAAAAAEA"
_EPOCH: Final = 0


class _Partition:
    """A log that gets its next append when one is committed; told so as the log's listener."""

    def __init__(self, log: Log, run: Run, goes_on: Callable[[], bool], payload: bytes, now_ms: int) -> None:
        self._log = log
        self._run = run
        self._goes_on = goes_on
        self._payload = payload
        self._now_ms = now_ms
        self._under_way: deque[tuple[int, float]] = deque()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        log.set_listener(self)

    def append(self) -> None:
        began = time.perf_counter()
        appended = self._log.append(self._payload, _EPOCH, self._now_ms)
        self._under_way.append((appended.last_offset, began))

    def log_committed(self, offset: int) -> None:
        now = time.perf_counter()
        committed = 0
        while self._under_way and self._under_way[0][0] < offset:
            self._run.latencies_ms.append((now - self._under_way.popleft()[1]) * 1000)
            committed += 1
        if self._goes_on():
            for _ in range(committed):
                self.append()
        elif not self._under_way and not self.ended.done():
            self.ended.set_result(None)

    def log_lost(self, loss: Loss) -> None:
        self.ended.set_exception(OSError(loss.message))


async def append_and_commit(logs: list[Log], payload: bytes, in_flight: int, seconds: float) -> Run:
    """Appends to all logs for so long, each with so many appends under way, and waits for the rest."""
    run = Run()
    now_ms = time.time_ns() // 1_000_000
    began = time.perf_counter()
    end = began + seconds
    partitions = [_Partition(log, run, lambda: time.perf_counter() < end, payload, now_ms) for log in logs]
    for partition in partitions:
        for _ in range(in_flight):
            partition.append()
    await asyncio.gather(*(partition.ended for partition in partitions))
    run.seconds = time.perf_counter() - began
    return run


def one_batch(size_bytes: int) -> bytes:
    """Returns a record batch of one record that takes so many bytes in all."""
    overhead = len(build_batch([(time.time_ns() // 1_000_000, None, bytes(size_bytes), ())])) - size_bytes
    return build_batch([(time.time_ns() // 1_000_000, None, os.urandom(size_bytes - overhead), ())])


@contextmanager
def opened_logs(directory: Path, partitions: int) -> Iterator[list[Log]]:
    """Opens so many new logs as the daemon does."""
    disk = OsDisk()
    workers = ThreadWorkers()
    data = DataDirectory(
        str(directory), _NODE_ID, disk=disk, clock=SystemClock(), random=SystemRandom(), workers=workers
    )
    loop = asyncio.get_running_loop()
    committer = FlushCommitter(disk, data.path, loop.call_soon_threadsafe, loop.call_soon)
    try:
        data.start(committer)
        yield [data.open("flush", number, _TOPIC_ID, LogConfig()) for number in range(partitions)]
    finally:
        committer.close()
        data.abandon()
        workers.close()
