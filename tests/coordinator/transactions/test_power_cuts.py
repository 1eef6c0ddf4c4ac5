"""Transactions on a server that loses what was not flushed, at any moment: all of each is there then, or nothing."""

import asyncio
import posixpath
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from logserver_segments.committer import Committable, LogEnd
from logserver_segments.disk import OsDisk
from logserver_segments.seams import File

from logserver.errors import LogServerError
from tests.broker.harness import HeldCommitter
from tests.segments.fake_disk import FakeDisk

from .nodes import TransactionProducer, TransactionsNode

PARTITIONS = 3
CUTS = 8
IDS = ("x", "y")


class RandomCommitter(HeldCommitter):
    """Flushes one log at a time, in any order."""

    def __init__(self, disk: FakeDisk, random: Random) -> None:
        super().__init__()
        self._disk = disk
        self._random = random
        self._files: dict[Committable, tuple[set[File], set[str]]] = {}

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        super().dirty(log, end, file, new_in)
        files, directories = self._files.setdefault(log, (set(), set()))
        files.add(file)
        if new_in is not None:
            directories.add(new_in)

    def discard(self, log: Committable) -> None:
        super().discard(log)
        self._files.pop(log, None)

    def commit(self, count: int | None = None) -> None:
        if not self.pending:
            return
        log = self._random.choice(self.pending)[0]
        ends = [end for one, end in self.pending if one is log]
        self.pending = [entry for entry in self.pending if entry[0] is not log]
        files, directories = self._files.pop(log)
        for file in files:
            file.sync()
        for directory in directories:
            self._disk.sync_directory(directory)
            self._disk.sync_directory(posixpath.dirname(directory))
        for end in ends:
            log.committed(end)


@dataclass
class Attempt:
    """A transaction, as its producer knows it."""

    value: str
    places: list[int]
    offset: int | None
    is_all_there: bool = False
    ended: bool | None = None
    """How, if that was answered."""
    asked: bool | None = None


async def transact(producer: TransactionProducer, attempt: Attempt, commit: bool) -> None:
    for number in attempt.places:
        await producer.send(attempt.value, number=number)
    if attempt.offset is not None:
        # Each producer has its own group, so that nobody else's commit comes in between.
        await producer.commit_offset(attempt.offset, producer.transactional_id)
    attempt.is_all_there = True
    attempt.asked = commit
    await producer.end(commit)
    attempt.ended = commit


async def life(node: TransactionsNode, name: str, random: Random, attempts: list[Attempt]) -> None:
    """A producer's, until the power goes."""
    producer = node.producer(name)
    await producer.init()
    while True:
        places = random.sample(range(PARTITIONS), random.randint(0, PARTITIONS))
        count = len(attempts) + 1
        offset = count if random.random() < 0.5 or not places else None
        attempt = Attempt(f"{name}{count}", places, offset)
        attempts.append(attempt)
        await transact(producer, attempt, random.random() < 0.7)


async def pumping(committer: HeldCommitter, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    while not task.done():
        committer.commit()
        await asyncio.sleep(0)
    await task


@pytest.mark.parametrize("seed", range(6))
async def test_all_or_nothing_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("logserver.coordinator.transactions.runtime._FIRST_DELAY_S", 0.0)
    monkeypatch.setattr("logserver.coordinator.transactions.runtime._MOST_DELAY_S", 0.0)
    random = Random(seed)
    disk = FakeDisk()
    committers: list[RandomCommitter] = []

    def new_committer() -> RandomCommitter:
        committers.append(RandomCommitter(disk, random))
        return committers[-1]

    monkeypatch.setattr("tests.broker.nodes.HeldCommitter", new_committer)
    node = TransactionsNode(tmp_path / "data", "held")
    node.node.disk = cast(OsDisk, disk)
    attempts: dict[str, list[Attempt]] = {name: [] for name in IDS}

    async def started(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            if committers:
                committers[-1].commit()
            await asyncio.sleep(0)
        await task

    for cut in range(CUTS):
        await started(_start(node))
        if not cut:
            await started(_make_topic(node))
        await pumping(committers[-1], _look(node, attempts))
        lives = [asyncio.ensure_future(life(node, name, random, attempts[name])) for name in IDS]
        for _ in range(random.randint(0, 400)):
            if random.random() < 0.6:
                committers[-1].commit()
            if random.random() < 0.03:
                await _keep_house(node, random)
            await asyncio.sleep(0)
        for task in lives:
            if task.done() and not isinstance(task.exception(), LogServerError):
                await task
            task.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        await node.crash()
        disk.crash(random)
    await started(_start(node))
    await pumping(committers[-1], _look(node, attempts))
    assert sum(len(of) for of in attempts.values()) > CUTS
    node.transactions.stop()
    await node.crash()


async def _start(node: TransactionsNode) -> None:
    await node.start()


async def _keep_house(node: TransactionsNode, random: Random) -> None:
    """Compacts what coordinators keep, open transactions or not, or writes recovery points."""
    directory = node.node.directory
    assert directory is not None
    if random.random() < 0.3:
        await directory.checkpoint()
        return
    for partition in list(node.node.broker.partitions()):
        log = cast(Any, partition.log)
        if log is not None and random.random() < 0.7:
            if partition.topic != "t":
                retention_ms = random.choice([0, 100_000])
                log.config = replace(log.config, min_cleanable_dirty_ratio=0.0, delete_retention_ms=retention_ms)
            log.roll()
    await directory.compact()


async def _make_topic(node: TransactionsNode) -> None:
    await node.node.broker.create_topic("t", PARTITIONS, {"segment.bytes": "1024"})


async def _look(node: TransactionsNode, attempts: dict[str, list[Attempt]]) -> None:
    """Ends what is open, as producers that begin again do, and checks what readers of committed records see."""
    await node.settled()
    for name in IDS:
        await node.producer(name).init()
    await node.settled()
    seen = [await node.visible(number) for number in range(PARTITIONS)]
    for number in range(PARTITIONS):
        assert len(set(seen[number])) == len(seen[number])
        partition = node.node.broker.partition("t", number)
        assert partition.last_stable_offset == partition.high_watermark
    for name, of in attempts.items():
        offset = None
        for attempt in of:
            found = {number for number in range(PARTITIONS) if attempt.value in seen[number]}
            assert found in (set(), set(attempt.places)), attempt
            committed = bool(found)
            if not attempt.places:
                committed = (
                    await node.committed(name) == attempt.offset and attempt is of[-1]
                ) or attempt.ended is True
            if attempt.ended is not None and attempt.places:
                assert committed == attempt.ended, attempt
            if attempt.asked is not True:
                assert not found, attempt
            # From here on it stays so.
            attempt.ended = committed
            attempt.asked = committed
            if committed and attempt.offset is not None:
                offset = attempt.offset
        assert await node.committed(name) == offset, of
        assert await node.groups.pending(name) == set()
