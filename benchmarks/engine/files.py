"""The peer of group commit: plain files, each flushed after each write."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from benchmarks.engine.runs import Run


def write_and_flush(files: list[int], payload: bytes, seconds: float) -> Run:
    """Writes and flushes the same bytes, file after file, for so long."""
    run = Run()
    ends = dict.fromkeys(files, 0)
    began = now = time.perf_counter()
    for file in cycle(files):
        ends[file] += os.pwrite(file, payload, ends[file])
        os.fdatasync(file)
        before, now = now, time.perf_counter()
        run.latencies_ms.append((now - before) * 1000)
        if now - began >= seconds:
            break
    run.seconds = now - began
    return run


@contextmanager
def opened_files(directory: Path, count: int) -> Iterator[list[int]]:
    directory.mkdir()
    files = [os.open(directory / str(number), os.O_RDWR | os.O_CREAT) for number in range(count)]
    try:
        yield files
    finally:
        for file in files:
            os.close(file)
