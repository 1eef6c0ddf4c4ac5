"""Apache Kafka's own DumpLogSegments reads the logs and the group records that are written here."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from logserver_records import Compression
from logserver_records.codec import NewRecord, build_batch
from logserver_segments.committer import ImmediateCommitter
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk
from logserver_segments.log import Log
from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers

from logserver.coordinator.formats import Key, Value, encode_key, encode_value

from ...other_clients.kafka_tools import KafkaTools
from . import broker_vectors, class_vectors, share_vectors
from .dumped import expected, records_of
from .strategies import records

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TOPIC_ID = "5NGUByt-SaWyIUc9_HKpuQ"
NOW_MS = 1_790_000_000_000
PRODUCERS = (1000, 1001, 1002)
BATCHES = 400

ENTRY = re.compile(r"(offset: \d+ position: |timestamp: \d+ offset: )\d+$")
PRODUCER = re.compile(r"^producerId: (\d+) producerEpoch: 3 coordinatorEpoch: -1 .* lastSequence: (\d+) ", re.MULTILINE)
RECORD = re.compile(r"^\| offset: (\d+) .* headerKeys: \[header\] key: key payload: (.*)$", re.MULTILINE)
CODEC = re.compile(r"compresscodec: (\w+)")


@pytest.fixture(scope="module")
def tools() -> KafkaTools:
    return KafkaTools()


def write(folder: Path, topic: str, segment_bytes: int, fill: Callable[[Log], None]) -> Path:
    """Fills a log in a new data directory, stops cleanly, and returns the log's folder."""
    disk = OsDisk()
    workers = ThreadWorkers(1)
    directory = DataDirectory(str(folder), 1, disk=disk, clock=SystemClock(), random=SystemRandom(), workers=workers)
    directory.start(ImmediateCommitter(disk))
    log = directory.open(topic, 0, TOPIC_ID, LogConfig(segment_bytes=segment_bytes))
    directory.opened_all()
    fill(log)
    directory.close()
    workers.close()
    return folder / f"{topic}-0"


def files(folder: Path, suffix: str) -> list[Path]:
    found = sorted(folder.glob(f"*.{suffix}"))
    assert found
    return found


def records_of_every_type() -> list[tuple[Key, Value | None]]:
    """Records as a broker has them, each followed by its tombstone, and arbitrary ones of every type."""
    vectors = [*broker_vectors.VECTORS, *class_vectors.VECTORS, *share_vectors.VECTORS]
    found: list[tuple[Key, Value | None]] = [(vector.key, vector.value) for vector in vectors if vector.is_written]
    found += [(key, None) for key, _ in found]

    for record in records.values():

        @settings(max_examples=30, database=None)
        @given(record)
        def collect(drawn: tuple[Key, Value]) -> None:
            found.append(drawn)

        collect()
    return found


def test_kafka_prints_the_group_records_that_were_written(tools: KafkaTools, tmp_path: Path) -> None:
    found = records_of_every_type()

    def fill(log: Log) -> None:
        for key, value in found:
            data = None if value is None else encode_value(value)
            record: NewRecord = (NOW_MS, encode_key(key), data, ())
            log.append(build_batch([record]), 0, NOW_MS)

    folder = write(tmp_path, "__consumer_offsets", 2 << 20, fill)
    assert len(files(folder, "log")) > 1
    printed = records_of(tools.dump("--offsets-decoder", files=files(folder, "log")))
    wanted = [expected(offset, key, value) for offset, (key, value) in enumerate(found)]
    for one, other in zip(printed, wanted, strict=True):
        assert one == other
    assert {dumped.key["type"] for dumped in printed} == {str(number) for number in range(1, 17)} - {"9"}


class Events:
    """A log of batches of three idempotent producers and of none, with every compression and two leader epochs."""

    def __init__(self, folder: Path) -> None:
        self.payloads: list[str] = []
        self.sequences: dict[int, int] = {}
        self._random = random.Random(1)
        self.folder = write(folder, "events", 60_000, self._fill)
        self.logs = files(self.folder, "log")
        self.indexes = [*files(self.folder, "index"), *files(self.folder, "timeindex")]

    def _fill(self, log: Log) -> None:
        for number in range(BATCHES):
            log.append(self._batch(number), 1 if number < BATCHES // 2 else 2, NOW_MS)

    def _batch(self, number: int) -> bytes:
        count = self._random.randint(1, 5)
        producer_id = self._random.choice([-1, *PRODUCERS])
        first = len(self.payloads)
        # Noise, so that compressing leaves enough for several segments.
        self.payloads += [f"{first + place} {self._random.randbytes(60).hex()}" for place in range(count)]
        sequence = -1
        if producer_id != -1:
            sequence = self.sequences.get(producer_id, 0)
            self.sequences[producer_id] = sequence + count
        time_ms = NOW_MS + number * 1000
        batch = [
            (time_ms - self._random.randrange(5000), b"key", payload.encode(), [("header", b"value")])
            for payload in self.payloads[first:]
        ]
        return build_batch(
            batch,
            compression=Compression(number % len(Compression)),
            producer_id=producer_id,
            producer_epoch=-1 if producer_id == -1 else 3,
            base_sequence=sequence,
        )


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    return Events(tmp_path_factory.mktemp("events"))


def test_kafka_finds_every_batch_and_record_whole(tools: KafkaTools, events: Events) -> None:
    assert len(events.logs) > 2
    output = tools.dump("--deep-iteration", "--print-data-log", files=events.logs)
    batches = [line for line in output.splitlines() if line.startswith("baseOffset: ")]
    assert len(batches) == BATCHES
    assert all(line.endswith("isvalid: true") for line in batches)
    assert set(CODEC.findall(output)) == {"none", "gzip", "snappy", "lz4", "zstd"}
    assert {line.split("partitionLeaderEpoch: ")[1].split()[0] for line in batches} == {"1", "2"}
    assert [(int(offset), payload) for offset, payload in RECORD.findall(output)] == list(enumerate(events.payloads))
    for file in events.logs:
        assert f"Dumping {file}\nLog starting offset: {int(file.stem)}\n" in output


def test_kafka_agrees_with_the_indexes(tools: KafkaTools, events: Events) -> None:
    headings = "".join(f"Dumping {file}\n" for file in events.indexes)
    assert tools.dump("--verify-index-only", files=events.indexes) == headings
    passed = "".join(f"Dumping {file}\n{file} passed sanity check.\n" for file in events.indexes)
    assert tools.dump("--index-sanity-check", files=events.indexes) == passed
    # With every entry: a mismatch would be named behind them.
    output = tools.dump(files=events.indexes)
    lines = output.splitlines()
    rest = [line for line in lines if not ENTRY.match(line)]
    assert rest == headings.splitlines()
    assert len(lines) > 10 * len(events.indexes)


def test_kafka_names_an_index_that_points_elsewhere(tools: KafkaTools, events: Events, tmp_path: Path) -> None:
    """What the tests above rest on: the tool does say it where an index is wrong."""
    index = events.logs[0].with_suffix(".index")
    data = bytearray(index.read_bytes())
    data[3] += 1  # The relative offset of the first entry.
    (tmp_path / index.name).write_bytes(data)
    (tmp_path / events.logs[0].name).write_bytes(events.logs[0].read_bytes())
    output = tools.dump("--verify-index-only", files=[tmp_path / index.name])
    assert f"Mismatches in :{tmp_path / index.name}" in output


def test_kafka_reads_the_producers_of_a_snapshot(tools: KafkaTools, events: Events) -> None:
    *_, last = files(events.folder, "snapshot")
    assert int(last.stem) == len(events.payloads)
    output = tools.dump(files=[last])
    found = re.findall(
        r"^producerId: (\d+) producerEpoch: 3 coordinatorEpoch: -1 .* lastSequence: (\d+) ", output, re.MULTILINE
    )
    assert {int(producer): int(sequence) + 1 for producer, sequence in found} == events.sequences
