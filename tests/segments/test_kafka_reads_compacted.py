"""Apache Kafka's own DumpLogSegments reads a directory before and after compaction, by a worker process."""

import asyncio
import random
import re
from pathlib import Path

import pytest
from logserver_records.codec import NewRecord, build_batch
from logserver_records.compression import Compression
from logserver_segments.committer import ImmediateCommitter
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk
from logserver_segments.log import Log
from logserver_segments.machine import SystemRandom, ThreadWorkers
from logserver_segments.processes import ProcessWorkers

from ..other_clients.kafka_tools import KafkaTools
from .support import NOW, TOPIC_ID, FakeClock
from .transactional import TransactionalProducer

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

CONFIG = LogConfig(
    segment_bytes=40_000, compact=True, delete=False, min_cleanable_dirty_ratio=0.0, delete_retention_ms=1000
)
BATCH = re.compile(
    r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .* deleteHorizonMs: (\S+) .* isvalid: (true|false)$",
    re.MULTILINE,
)
RECORD = re.compile(r"^\| offset: (\d+) .*?(?:key: (\S+))?(?: payload: (\S+))?$", re.MULTILINE)


def fill(log: Log, producers: list[TransactionalProducer], chance: random.Random, count: int) -> None:
    """Appends records of two hundred keys: values and tombstones, in batches of every compression, and transactions."""
    for number in range(count):
        if chance.random() < 0.2:
            producer = chance.choice(producers)
            producer.send(b"value%d" % number, key=b"key%d" % chance.randrange(200))
            if chance.random() < 0.5:
                (producer.abort if chance.random() < 0.5 else producer.commit)()
            continue
        records: list[NewRecord] = []
        for _ in range(chance.randint(1, 8)):
            value = None if chance.random() < 0.1 else b"value%d" % number
            records.append((NOW + number, b"key%d" % chance.randrange(200), value, ()))
        log.append(build_batch(records, compression=chance.choice(list(Compression))), 0, NOW)
    for producer in producers:
        producer.commit()
    log.roll()


async def compact(directory: DataDirectory, clock: FakeClock) -> None:
    assert await directory.compact() == 1
    clock.advance(2000)


def check(tools: KafkaTools, folder: Path, *, has_horizons: bool) -> dict[str, str]:
    """Has Kafka read all files of a log without a complaint; returns the last value of each key that it prints."""
    files = {suffix: sorted(folder.glob(f"*.{suffix}")) for suffix in ("log", "index", "timeindex", "txnindex")}
    output = tools.dump("--deep-iteration", "--print-data-log", files=files["log"])
    batches = BATCH.findall(output)
    assert batches and all(valid == "true" for *_, valid in batches)
    assert any(horizon != "OptionalLong.empty" for *_, horizon, _ in batches) is has_horizons
    assert [int(base) for base, *_ in batches] == sorted(int(base) for base, *_ in batches)
    for suffix in ("index", "timeindex"):
        # The active segment's is still empty.
        names = [file for file in files[suffix] if file.stat().st_size]
        expected = "".join(f"Dumping {name}\n{name} passed sanity check.\n" for name in names)
        assert tools.dump("--index-sanity-check", files=names) == expected
        # Without that option it holds each entry against the segment, and says what does not fit.
        assert "mismatch" not in tools.dump(files=names).lower()
    if files["txnindex"]:
        assert "version: 0 producerId" in tools.dump(files=files["txnindex"])
    assert "Invalid" not in output and "mismatch" not in output.lower()
    return {key: value for _, key, value in RECORD.findall(output) if key}


def test_kafka_reads_a_directory_before_and_after_compaction(tmp_path: Path) -> None:
    disk, workers, processes, clock = OsDisk(), ThreadWorkers(1), ProcessWorkers(), FakeClock()
    directory = DataDirectory(
        str(tmp_path), 1, disk=disk, clock=clock, random=SystemRandom(), workers=workers, cleaners=processes
    )
    directory.start(ImmediateCommitter(disk))
    log = directory.open("t", 0, TOPIC_ID, CONFIG)
    directory.opened_all()
    chance, tools, folder = random.Random(4), KafkaTools(), tmp_path / "t-0"
    producers = [TransactionalProducer(log, number) for number in range(3)]
    fill(log, producers, chance, 1500)
    before = check(tools, folder, has_horizons=False)
    size = log.size_bytes

    async def go() -> dict[str, str]:
        await compact(directory, clock)
        first = check(tools, folder, has_horizons=True)
        # What is new supersedes what was left, and the delete horizons of before have passed.
        fill(log, producers, chance, 300)
        await compact(directory, clock)
        return first

    first = asyncio.run(go())
    assert log.size_bytes < size / 2
    assert set(first) <= set(before) and len(first) > 150
    assert check(tools, folder, has_horizons=True)
    directory.close()
    # As a stop leaves it.
    assert check(tools, folder, has_horizons=True)
    processes.close()
    workers.close()
