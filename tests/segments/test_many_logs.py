"""Many logs in one directory, and the whole engine on a real disk with its real flusher."""

import asyncio
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from logserver_segments.committer import FlushCommitter, ImmediateCommitter, Loss
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk, OsFile
from logserver_segments.log import Log
from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers
from logserver_segments.reading import Slice

from .support import SMALL, TOPIC_ID, batch, read, records_in

PARTITIONS = 2000


class CountingDisk(OsDisk):
    """The real disk, counting how often segment files are opened."""

    __slots__ = ("opened",)

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open(self, path: str, *, create: bool = False) -> OsFile:
        if path.endswith(".log"):
            self.opened.append(path)
        return super().open(path, create=create)


def _directory(path: Path, disk: OsDisk, workers: ThreadWorkers, *, open_files: int = 1000) -> DataDirectory:
    return DataDirectory(
        str(path),
        1,
        disk=disk,
        clock=SystemClock(),
        random=SystemRandom(),
        workers=workers,
        open_files=open_files,
        mapped_files=open_files,
    )


def _open_all(directory: DataDirectory, disk: OsDisk) -> list[Log]:
    directory.start(ImmediateCommitter(disk))
    logs = [directory.open("topic", number, TOPIC_ID, SMALL) for number in range(PARTITIONS)]
    directory.opened_all()
    return logs


def test_opening_2000_partitions_reads_none_of_2000_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workers = ThreadWorkers(1)
    disk = CountingDisk()
    directory = _directory(tmp_path, disk, workers)
    # A committer that calls everything durable, to make them fast; the stop syncs them all.
    logs = _open_all(directory, disk)
    for number, log in enumerate(logs):
        log.config = replace(SMALL, flush_messages=1000)
        log.append(batch(b"%d" % number), 0, SystemClock().now_ms())
    directory.close()
    for end in ("clean stop", "process that ended"):
        disk.opened.clear()
        began = time.perf_counter()
        directory = _directory(tmp_path, disk, workers)
        logs = _open_all(directory, disk)
        took_ms = (time.perf_counter() - began) * 1000
        with capsys.disabled():
            print(f"\n{PARTITIONS} partitions opened in {took_ms:.0f} ms after a {end}")
        if end == "clean stop":
            assert directory.was_clean and disk.opened == []
            directory.abandon()
    for number in (0, 1, 777, PARTITIONS - 1):
        assert [record.value for record in records_in(read(logs[number], 0).data)] == [b"%d" % number]
    directory.close()
    workers.close()


async def _durable(log: Log) -> None:
    """Waits until everything appended is committed."""
    news = asyncio.Event()

    class Waiter:
        def log_committed(self, offset: int) -> None:
            news.set()

        def log_lost(self, loss: Loss) -> None:
            raise AssertionError(loss)

    log.set_listener(Waiter())
    while log.committed_offset < log.log_end_offset:
        news.clear()
        await news.wait()


@pytest.mark.parametrize("ended", ["stopped", "killed"])
async def test_the_engine_on_a_real_disk_with_its_real_flusher(tmp_path: Path, ended: str) -> None:
    loop = asyncio.get_running_loop()
    disk, workers = OsDisk(), ThreadWorkers(2)
    directory = _directory(tmp_path, disk, workers, open_files=3)
    committer = FlushCommitter(disk, str(tmp_path), loop.call_soon_threadsafe, loop.call_soon)
    directory.start(committer)
    logs = [directory.open("topic", number, TOPIC_ID, SMALL) for number in range(8)]
    directory.opened_all()
    choose = random.Random(1)
    sent: list[list[bytes]] = [[] for _ in logs]
    for number in range(600):
        which = choose.randrange(len(logs))
        value = b"%d" % number + b"." * choose.randrange(80)
        logs[which].append(batch(value), 0, SystemClock().now_ms())
        sent[which].append(value)
        if number % 50 == 0:
            await directory.checkpoint()
            await asyncio.sleep(0)
            directory.tick()
    for log in logs:
        await _durable(log)
        log.check_invariant()
    if ended == "stopped":
        await asyncio.to_thread(committer.close)
        await asyncio.sleep(0)
        directory.close()
    else:
        directory.abandon()
        await asyncio.to_thread(committer.close)
    directory = _directory(tmp_path, disk, workers, open_files=3)
    directory.start(ImmediateCommitter(disk))
    assert directory.was_clean is (ended == "stopped")
    for number, values in enumerate(sent):
        log = directory.open("topic", number, TOPIC_ID, SMALL)
        got = []
        offset = 0
        while offset < log.committed_offset:
            found = log.read(offset, 500)
            part = found if isinstance(found, Slice) else await found
            got += [record.value for record in records_in(part.data)]
            offset = part.next_offset
        assert got == values
    directory.abandon()
    workers.close()
