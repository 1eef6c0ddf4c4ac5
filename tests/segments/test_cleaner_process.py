"""Compaction by a worker process on a real disk: what it leaves when it is killed, and that others go on meanwhile."""

import asyncio
import os
import signal
from pathlib import Path

from logserver_segments.committer import ImmediateCommitter
from logserver_segments.compaction.config import CleanerConfig, IoLimit
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk
from logserver_segments.log import Log
from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers
from logserver_segments.processes import ProcessWorkers

from .support import NOW, TOPIC_ID, FakeClock, keyed, read_all

CONFIG = LogConfig(segment_bytes=1 << 20, compact=True, delete=False, min_cleanable_dirty_ratio=0.0)
KEYS = 500


def _fill(log: Log) -> None:
    for number in range(60):
        log.append(keyed(*((b"key %d" % key, b"%d" % number + bytes(100)) for key in range(KEYS))), 0, NOW)
    log.roll()


def _last(log: Log) -> dict[bytes | None, bytes | None]:
    return {record.key: record.value for record in read_all(log, 1 << 20)}


def _has(folder: Path, suffix: str) -> bool:
    return any(path.name.endswith(suffix) for path in folder.iterdir())


async def _is_being_written(folder: Path) -> None:
    # Another process makes the file, and tells nobody.
    while not _has(folder, ".cleaned"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_killed_worker_leaves_the_log_as_it_was_and_no_files(tmp_path: Path) -> None:
    disk, workers, processes, clock = OsDisk(), ThreadWorkers(2), ProcessWorkers(), FakeClock()
    slow = CleanerConfig(io=IoLimit(6_000_000, SystemClock()))
    directory = DataDirectory(
        str(tmp_path),
        1,
        disk=disk,
        clock=clock,
        random=SystemRandom(),
        workers=workers,
        cleaners=processes,
        cleaner_limits=slow,
    )
    directory.start(ImmediateCommitter(disk))
    log = directory.open("t", 0, TOPIC_ID, CONFIG)
    directory.opened_all()
    _fill(log)
    expected, folder, size = _last(log), tmp_path / "t-0", log.size_bytes
    assert len(expected) == KEYS
    task = asyncio.ensure_future(directory.compact())
    await asyncio.wait_for(_is_being_written(folder), 60)
    assert processes.pid is not None
    os.kill(processes.pid, signal.SIGKILL)
    # Meanwhile others append and read.
    log.append(keyed((b"another", b"1")), 0, NOW)
    assert await asyncio.wait_for(task, 60) == 0
    assert not _has(folder, ".cleaned") and not _has(folder, ".swap")
    expected[b"another"] = b"1"
    assert _last(log) == expected
    # Not again at once.
    assert await directory.compact() == 0
    clock.advance(60_000)
    assert await directory.compact() == 1
    assert log.size_bytes < size / 2
    assert _last(log) == expected
    log.check_invariant()
    directory.close()
    processes.close()
    workers.close()
