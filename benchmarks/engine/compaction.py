"""Compaction of a log by itself: filled in this process, compacted by a worker process as the server has it done."""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from logserver_records import build_batch
from logserver_segments.committer import ImmediateCommitter
from logserver_segments.compaction.config import CleanerConfig
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk
from logserver_segments.log import Log
from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers
from logserver_segments.processes import ProcessWorkers

from benchmarks.support.output import progress
from benchmarks.support.usage import cpu_of, memory_of

_TOPIC_ID: Final = "AAAAAAAAAAAAAAAAAAAAEA"
_EPOCH: Final = 0
_BATCH_RECORDS: Final = 100
_SEGMENT_BYTES: Final = 1 << 30
_SAMPLE_S: Final = 0.1


@dataclass
class Compaction:
    """What a compaction took."""

    bytes_before: int
    bytes_after: int
    records: int
    keys: int
    seconds: float
    # Of the worker: its own memory at its most, and processor time.
    worker_bytes: int = 0
    worker_cpu_s: float = 0.0
    turns: int = 0


def keyed_batches(count: int, keys: int, value_bytes: int) -> Iterator[bytes]:
    """Yields so many record batches of random keys, with values that don't compress."""
    chance = random.Random(1)
    # Values are parts of this, which is made once.
    noise = os.urandom(1 << 20)
    now_ms = time.time_ns() // 1_000_000
    for _ in range(count):
        starts = [chance.randrange(len(noise) - value_bytes) for _ in range(_BATCH_RECORDS)]
        yield build_batch(
            [(now_ms, b"key-%09d" % chance.randrange(keys), noise[at : at + value_bytes], ()) for at in starts]
        )


def compact_once(directory: Path, megabytes: float, keys: int, value_bytes: int, limits: CleanerConfig) -> Compaction:
    """Fills a log with so many bytes, has it compacted, and checks that each key is left once."""
    return asyncio.run(_compact_once(directory, megabytes, keys, value_bytes, limits))


async def _compact_once(
    directory: Path, megabytes: float, keys: int, value_bytes: int, limits: CleanerConfig
) -> Compaction:
    disk, workers, processes = OsDisk(), ThreadWorkers(2), ProcessWorkers()
    data = DataDirectory(
        str(directory),
        1,
        disk=disk,
        clock=SystemClock(),
        random=SystemRandom(),
        workers=workers,
        cleaners=processes,
        cleaner_limits=limits,
    )
    try:
        data.start(ImmediateCommitter(disk))
        config = LogConfig(
            # Small logs have several segments, too.
            segment_bytes=min(_SEGMENT_BYTES, max(int(megabytes * 1e6) // 10, 1 << 20)),
            compact=True,
            delete=False,
            min_cleanable_dirty_ratio=0.0,
            flush_messages=1 << 40,
        )
        log = data.open("compaction", 0, _TOPIC_ID, config)
        data.opened_all()
        records = _fill(log, int(megabytes * 1e6), keys, value_bytes)
        disk.sync_filesystem(str(directory))
        return await _measure(data, log, processes, records)
    finally:
        processes.close()
        data.abandon()
        workers.close()


def _fill(log: Log, size_bytes: int, keys: int, value_bytes: int) -> int:
    progress(f"filling {size_bytes / 1e9:.2f} GB")
    now_ms = time.time_ns() // 1_000_000
    # A batch has some bytes more for each record than its key and value.
    for batch in keyed_batches(size_bytes // (_BATCH_RECORDS * (value_bytes + 21)), keys, value_bytes):
        log.append(batch, _EPOCH, now_ms)
    log.roll()
    return log.log_end_offset


async def _measure(data: DataDirectory, log: Log, processes: ProcessWorkers, records: int) -> Compaction:
    progress("compacting")
    before, began = log.size_bytes, time.perf_counter()
    found = Compaction(before, 0, records, 0, 0.0)
    task = asyncio.ensure_future(data.compact())
    while not task.done():
        await asyncio.wait([task], timeout=_SAMPLE_S)
        pid = processes.pid
        if pid is not None:
            try:
                found.worker_bytes = max(found.worker_bytes, memory_of(pid).anonymous)
                found.worker_cpu_s = cpu_of(pid).total_s
            except FileNotFoundError:
                # It has ended between the two.
                continue
    found.turns = await task
    found.seconds = time.perf_counter() - began
    found.bytes_after = log.size_bytes
    found.keys = _count(log)
    return found


def _count(log: Log) -> int:
    """Returns how many records are left."""
    left, offset = 0, log.log_start_offset
    for segment in log.segments:
        position = 0
        while position < segment.size:
            # Length and record count of a batch.
            header = segment.file.read(61, position)
            position += 12 + int.from_bytes(header[8:12], "big")
            left += int.from_bytes(header[57:61], "big")
        offset = segment.base_offset
    assert offset <= log.log_end_offset
    return left
