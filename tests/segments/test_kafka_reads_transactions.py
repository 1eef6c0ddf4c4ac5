"""Apache Kafka's own DumpLogSegments reads markers, transaction indexes and snapshots that are written here."""

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from logserver_segments.committer import ImmediateCommitter
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.disk import OsDisk
from logserver_segments.log import Log
from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers
from logserver_segments.partition_log import AbortedTransaction, ActiveProducer

from ..other_clients.kafka_tools import KafkaTools
from ..other_clients.missing import JARS
from .support import NOW, TOPIC_ID, batch
from .transactional import ABORT, COMMIT, TransactionalProducer, aborted

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

MARKER = re.compile(r"^\| offset: (\d+) .* endTxnMarker: (\w+) coordinatorEpoch: (\d+)$", re.MULTILINE)
ENTRY = re.compile(
    r"^version: 0 producerId: (\d+) firstOffset: (\d+) lastOffset: (\d+) lastStableOffset: (\d+)$", re.MULTILINE
)
PRODUCER = re.compile(
    r"^producerId: (\d+) producerEpoch: (\d+) coordinatorEpoch: (-?\d+) "
    r"currentTxnFirstOffset: OptionalLong(?:\.empty|\[(\d+)\]) lastTimestamp: (\d+)(?: .* lastSequence: (\d+) .*)?$",
    re.MULTILINE,
)


class Written:
    """A log of four producers with transactions in every state, over several segments."""

    def __init__(self, folder: Path) -> None:
        disk, workers = OsDisk(), ThreadWorkers(1)
        directory = DataDirectory(
            str(folder), 1, disk=disk, clock=SystemClock(), random=SystemRandom(), workers=workers
        )
        directory.start(ImmediateCommitter(disk))
        log = directory.open("t", 0, TOPIC_ID, LogConfig(segment_bytes=20_000))
        directory.opened_all()
        self.markers: list[tuple[int, str]] = []
        self._fill(log)
        self.aborted: list[AbortedTransaction] = aborted(log, 0, log.log_end_offset)
        self.producers: list[ActiveProducer] = log.active_producers()
        self.stable = log.last_stable_offset
        self.segments = len(log.segments)
        directory.close()
        workers.close()
        self.folder = folder / "t-0"

    def _fill(self, log: Log) -> None:
        chance = random.Random(1)
        producers = [TransactionalProducer(log, number, version=1 + number % 2) for number in range(4)]
        for number in range(600):
            producer, now = chance.choice(producers), NOW + number
            if chance.random() < 0.6:
                producer.send(*[b"x" * 50] * chance.randint(1, 3), now=now)
            elif chance.random() < 0.3:
                log.append(batch(b"plain"), 0, now)
            else:
                marker = chance.choice([COMMIT, ABORT])
                appended = producer.end(marker._replace(coordinator_epoch=number // 100), now=now)
                self.markers.append((appended.base_offset, marker.control_type.name))
        producers[0].send(b"open at the end", now=NOW + 600)

    def files(self, suffix: str) -> list[Path]:
        found = sorted(self.folder.glob(f"*.{suffix}"))
        assert found
        return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("transactions"))


@pytest.fixture(scope="module")
def tools() -> KafkaTools:
    return KafkaTools()


def test_kafka_reads_the_markers(tools: KafkaTools, written: Written) -> None:
    assert written.segments > 2
    output = tools.dump("--print-data-log", files=written.files("log"))
    assert [(int(offset), kind) for offset, kind, _ in MARKER.findall(output)] == written.markers
    assert "isvalid: false" not in output


def test_kafka_reads_the_transaction_indexes(tools: KafkaTools, written: Written) -> None:
    output = tools.dump(files=written.files("txnindex"))
    assert [tuple(map(int, found)) for found in ENTRY.findall(output)] == written.aborted
    assert len(written.aborted) > 20


def test_kafka_reads_the_open_transactions_of_a_snapshot(tools: KafkaTools, written: Written) -> None:
    output = tools.dump(files=written.files("snapshot")[-1:])
    found = [
        ActiveProducer(
            int(producer_id), int(epoch), int(sequence or -1), int(timestamp), int(coordinator), int(first or -1)
        )
        for producer_id, epoch, coordinator, first, timestamp, sequence in PRODUCER.findall(output)
    ]
    assert found == written.producers
    assert any(one.transaction_first_offset >= 0 for one in found)
    assert any(one.transaction_first_offset < 0 for one in found)


def test_kafkas_recovery_makes_the_same_of_the_batches(tools: KafkaTools, written: Written, tmp_path: Path) -> None:
    for log in written.files("log"):
        shutil.copy(log, tmp_path)
    program = Path(__file__).with_name("kafka") / "RecoverLog.java"
    done = subprocess.run(
        ["java", "-cp", f"{JARS}/*", str(program), str(tmp_path)], capture_output=True, encoding="utf-8", timeout=200
    )
    assert done.returncode == 0, done.stderr
    # Every offset is committed, so what is open for longest is what holds readers back.
    assert int(done.stdout) == written.stable
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*.txnindex") if path.stat().st_size}
    assert found == {path.name: path.read_bytes() for path in written.files("txnindex")}
    (snapshot,) = tmp_path.glob("*.snapshot")
    ours = written.files("snapshot")[-1]
    assert snapshot.name == ours.name
    assert dict(_entries(snapshot)) == dict(_entries(ours))


def _entries(path: Path) -> list[tuple[int, bytes]]:
    content = path.read_bytes()[10:]
    return [(int.from_bytes(content[at : at + 8], "big"), content[at : at + 46]) for at in range(0, len(content), 46)]
