"""Apache Kafka's own DumpLogSegments reads the directories that servers leave: stopped, killed, and started again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..daemon.processes import ServerProcess
from ..other_clients.kafka_tools import KafkaShell
from . import stored

COMPLAINTS = ("isvalid: false", "Mismatches", "Found ", "Exception", "error")


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaShell]:
    with KafkaShell() as kafka:
        yield kafka


def dump(kafka: KafkaShell, files: list[Path], *options: str) -> str:
    """Returns what the tool prints, which must be no complaint."""
    done = kafka.run("DumpLogSegments", *options, "--files", ",".join(map(str, files)))
    assert done.status == 0, done.printed
    lines = done.printed.splitlines()
    assert not [line for line in lines if any(line.startswith(one) or "isvalid: false" in line for one in COMPLAINTS)]
    return done.printed


def check(kafka: KafkaShell, data: Path) -> None:
    """Has the tool read every file of every log."""
    folders = [folder for folder in data.iterdir() if folder.is_dir()]
    logs = [path for folder in folders for path in sorted(folder.glob("*.log")) if path.stat().st_size]
    assert len(logs) > 8
    for path in logs:
        printed = dump(kafka, [path], "--deep-iteration")
        # Where a compaction took records offsets are missing, in Kafka's own logs, too; and what comes before a segment
        # the tool does not know.
        is_compacted = path.parent.name.startswith(("compacted", "__"))
        missing = [line for line in printed.splitlines() if "is followed by" in line]
        assert is_compacted or not [line for line in missing if not line.strip().startswith("-1 is")], missing
    indexes = [path for log in logs for path in (log.with_suffix(".index"), log.with_suffix(".timeindex"))]
    there = [path for path in indexes if path.exists() and path.stat().st_size]
    assert len(there) > 8
    passed = dump(kafka, there, "--index-sanity-check")
    assert passed.count("passed sanity check.") == len(there)
    # Of batches that a compaction has emptied, it asks for the timestamps of the records that are gone.
    dump(kafka, [path for path in there if not path.parent.name.startswith("compacted")], "--verify-index-only")
    others = [path for folder in folders for path in (*folder.glob("*.txnindex"), *folder.glob("*.snapshot"))]
    assert {path.suffix for path in others} == {".txnindex", ".snapshot"}
    dump(kafka, others)


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_kafka_reads_every_file_without_a_complaint(kafka: KafkaShell, tmp_path: Path, is_killed: bool) -> None:
    data = stored.make(tmp_path / "data", is_killed=is_killed)
    check(kafka, data)
    with ServerProcess(data, settings=stored.SETTINGS) as server:
        assert server.stop() == 0
    check(kafka, data)
