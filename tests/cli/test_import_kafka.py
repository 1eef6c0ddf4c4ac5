"""`logserver import-kafka` on what a real Apache Kafka 4.3.1 has left: everything is there, as it was."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from logserver_records.batch import BatchHeader, read_header, split, stamp
from logserver_records.codec import build_batch
from logserver_segments.disk import OsDisk
from logserver_segments.verification.records import read_log

from logserver.cli import main
from logserver.cli.internal_logs import read_image

from ..daemon.processes import ServerProcess
from ..differential.kafka_process import CLUSTER_ID, KafkaProcess
from ..other_clients.missing import JARS, KAFKA_TOOLS
from . import kafka_data
from .terminal import shown

RECORDS = 5_000
KAFKA_SETTINGS = {
    "log.cleaner.backoff.ms": "300",
    "log.initial.task.delay.ms": "300",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
    # As after hours.
    "metadata.log.max.record.bytes.between.snapshots": "1000",
}
HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("ok", flush=True)
input()
"""


class Left:
    """A stopped Kafka's directory, and what it held."""

    def __init__(self, path: Path, held: kafka_data.Held) -> None:
        self.path = path
        self.held = held


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """What a Kafka that was stopped has left; not to be changed."""
    KAFKA_TOOLS.need()
    folder = tmp_path_factory.mktemp("kafka") / "kafka"
    with KafkaProcess(JARS, folder, KAFKA_SETTINGS, keeps_data=True) as kafka:
        kafka_data.fill(kafka.address, RECORDS)
        held = kafka_data.held(kafka.address)
        data = kafka.data
    return Left(data, held)


def bring_in(source: Path, target: Path, *options: str) -> dict[str, Any]:
    """Runs the command; returns what it says."""
    result = CliRunner().invoke(main, ["import-kafka", str(source), str(target), "--json", *options])
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def headers(path: Path) -> Iterator[BatchHeader]:
    """Yields the headers of all batches of all topics in a directory."""
    for folder in path.glob("*-*"):
        if folder.is_dir() and not folder.name.startswith("__cluster_metadata"):
            yield from (header for header, _ in read_log(str(folder), OsDisk()))


def verified(path: Path) -> bool:
    result = CliRunner().invoke(main, ["verify", str(path)])
    assert result.exit_code == 0, result.output
    return True


@pytest.mark.timeout(300)
def test_every_record_offset_and_position_is_there(left: Left, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in left.path.rglob("*") if path.is_file()}
    document = bring_in(left.path, tmp_path / "data")
    # It was only read.
    assert {path: path.read_bytes() for path in left.path.rglob("*") if path.is_file()} == before
    assert verified(tmp_path / "data")
    # Counted: what Kafka gave its readers is what was copied, beside the topics of Kafka itself.
    counts = {topic["name"]: topic["records"] for topic in document["topics"]}
    held = left.held
    for name in kafka_data.TOPICS:
        # Records that were deleted lie before the log start, in a segment that has others.
        deleted = kafka_data.FIRST_KEPT if name == "append-time" else 0
        assert counts[name] == sum(topic == name for topic, _, _ in held.records) + deleted, name
    assert held.ends["append-time", 0][0] == kafka_data.FIRST_KEPT
    assert document["committed_offsets"] == len(held.positions)
    assert document["groups"] >= len({group for group, _, _ in held.positions})
    assert (document["cluster_id"], document["transactional_ids"]) == (CLUSTER_ID, 1)

    with ServerProcess(tmp_path / "data") as server:
        found = kafka_data.held(server.kafka)
        assert len(found.records) == len(held.records)
        assert found == held
        # It goes on where Kafka ended: new transactions, new positions.
        kafka_data.go_on(server.kafka)
        assert server.stop() == 0
        assert any('after="clean stop"' in line for line in server.errors)
    assert verified(tmp_path / "data")


def test_settings_that_the_server_does_not_have_are_told(left: Left, tmp_path: Path) -> None:
    document = bring_in(left.path, tmp_path / "data")
    assert any("log.cleaner.threads=2 is left out" in warning for warning in document["warnings"]), document["warnings"]
    assert not any("message.max.bytes" in warning for warning in document["warnings"])
    settings = {topic["name"]: topic["settings"] for topic in document["topics"]}
    assert settings["compacted"] == kafka_data.TOPICS["compacted"][1]
    assert settings["empty"] == {**kafka_data.TOPICS["empty"][1], "segment.ms": "7654321"}
    assert "deleted" not in settings
    # What Kafka has given out is not given out again.
    image = read_image(str(tmp_path / "data" / "__logserver_metadata-0"), OsDisk())
    producer_ids = [header.producer_id for header in headers(left.path)]
    assert int(image[b"/producer_ids/next"]) > max(producer_ids) >= 0
    assert int(image[b"/nodes/1/leader_epoch"]) > max(header.leader_epoch for header in headers(left.path))


@pytest.mark.timeout(300)
def test_without_metadata_topics_have_defaults_and_a_warning(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    shutil.rmtree(source / "__cluster_metadata-0")
    document = bring_in(source, tmp_path / "data")
    assert any(
        "metadata can't be read" in warning and "default settings" in warning for warning in document["warnings"]
    )
    topics = {topic["name"]: topic for topic in document["topics"]}
    assert {name: topics[name]["topic_id"] for name in kafka_data.TOPICS} == left.held.topic_ids
    assert topics["plain"]["settings"] == {}
    assert topics["__consumer_offsets"]["settings"] == {"cleanup.policy": "compact"}
    with ServerProcess(tmp_path / "data") as server:
        found = kafka_data.held(server.kafka)
        assert (found.records, found.committed, found.positions) == (
            left.held.records,
            left.held.committed,
            left.held.positions,
        )


@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_metadata_are_a_snapshot_and_the_log_behind_it(left: Left, tmp_path: Path, which: int) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    folder = source / "__cluster_metadata-0"
    # The one of the very beginning has nothing of topics.
    snapshots = [path for path in sorted(folder.glob("*.checkpoint")) if int(path.name[:20]) > 0]
    assert snapshots
    kept = snapshots.pop(which)
    for path in snapshots:
        path.unlink()
    # As Kafka's retention leaves it.
    start, log = int(kept.name[:20]), folder / f"{0:020}.log"
    content = log.read_bytes()
    position = next((at for at, header in split(content) if header.base_offset >= start), len(content))
    (folder / f"{start:020}.log").write_bytes(content[position:])
    log.unlink()
    document, whole = bring_in(source, tmp_path / "data"), bring_in(left.path, tmp_path / "whole")
    assert document["topics"] == whole["topics"]
    assert document["warnings"] == [warning.replace(str(left.path), str(source)) for warning in whole["warnings"]]
    images = [read_image(str(tmp_path / name / "__logserver_metadata-0"), OsDisk()) for name in ("data", "whole")]
    assert images[0] == images[1]


def test_damaged_metadata_is_as_none(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    for path in (source / "__cluster_metadata-0").glob("*.log"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    document = bring_in(source, tmp_path / "data")
    assert any("metadata can't be read" in warning and "position" in warning for warning in document["warnings"])


def test_a_damaged_batch_costs_its_own_records_only(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    path = sorted((source / "plain-1").glob("*.log"))[0]
    content = bytearray(path.read_bytes())
    content[70] ^= 1
    path.write_bytes(content)
    document = bring_in(source, tmp_path / "data")
    (warning,) = [one for one in document["warnings"] if str(path) in one]
    assert "position 0: record batch with a wrong CRC" in warning and "offsets from 0 on are lost" in warning
    assert verified(tmp_path / "data")
    with ServerProcess(tmp_path / "data") as server:
        found = kafka_data.held(server.kafka)
    missing = {key: record for key, record in left.held.records.items() if key not in found.records}
    assert missing and all(key[:2] == ("plain", 1) for key in missing)
    assert {**found.records, **missing} == left.held.records


def test_a_batch_that_was_being_written_is_left_out(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    path = sorted((source / "plain-0").glob("*.log"))[-1]
    with path.open("ab") as file:
        file.write(bytes(90))
    document = bring_in(source, tmp_path / "data")
    (warning,) = [one for one in document["warnings"] if str(path) in one]
    assert "90 bytes at the end were left out" in warning
    assert document["records"] == bring_in(left.path, tmp_path / "whole")["records"]
    assert verified(tmp_path / "data")


def last_batch(log: Path) -> tuple[Path, int, BatchHeader]:
    """Returns a log's last segment that has batches, and where in it the last one is."""
    path = [path for path in sorted(log.glob("*.log")) if path.stat().st_size][-1]
    return path, *list(split(path.read_bytes()))[-1]


def test_a_log_that_has_lost_its_end_gives_no_offset_out_again(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    path, position, header = last_batch(source / "plain-0")
    os.truncate(path, position)
    document = bring_in(source, tmp_path / "data")
    (warning,) = [one for one in document["warnings"] if f"{source}/plain-0" in one]
    end = left.held.ends["plain", 0][1]
    assert f"records up to offset {end - 1}, and those from {header.base_offset} on are lost" in warning
    (plain,) = [topic for topic in document["topics"] if topic["name"] == "plain"]
    assert plain["end_offsets"][0] == end
    assert verified(tmp_path / "data")


def test_what_can_not_be_read_of_groups_is_told_and_kept(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    log = next(
        path
        for path in sorted(source.glob("__consumer_offsets-*"))
        if any(f.stat().st_size for f in path.glob("*.log"))
    )
    path, position, header = last_batch(log)
    batch = bytearray(build_batch([(1, b"\x00\x01 no group", b"no position", ())]))
    batch[:16] = stamp(read_header(batch), header.next_offset, 0)
    with path.open("ab") as file:
        file.write(batch)
    document = bring_in(source, tmp_path / "data")
    target = tmp_path / "data" / path.relative_to(source)
    position += header.size
    (warning,) = [one for one in document["warnings"] if str(target) in one]
    assert f"{target}, position {position}: the record at offset {header.next_offset}: " in warning
    assert warning.endswith(f"left out, and kept in {target}.cut-{position}")
    assert Path(f"{target}.cut-{position}").read_bytes() == batch
    assert document["records"] == bring_in(left.path, tmp_path / "whole")["records"]
    assert verified(tmp_path / "data")


def test_a_log_that_does_not_tell_its_topic_is_that_of_its_name(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    (source / "plain-0" / "partition.metadata").write_text("version: 0\ntopic_id: ???")
    document = bring_in(source, tmp_path / "data")
    assert [one for one in document["warnings"] if "plain-0" in one] == [
        f"{source}/plain-0 names a topic id that is none: '???'"
    ]
    assert document["records"] == bring_in(left.path, tmp_path / "whole")["records"]


def test_nothing_is_made_in_the_source(left: Left, tmp_path: Path) -> None:
    assert "which is only read" in refused(left.path, left.path / "new")
    assert not (left.path / "new").exists()


def test_who_looks_sees_how_far_it_is(left: Left, tmp_path: Path) -> None:
    seen = shown("import-kafka", left.path, tmp_path / "data")
    assert re.search(r"Copying .*100%.*Checking .*100%", seen, re.DOTALL)


def test_partitions_that_are_elsewhere_are_told(left: Left, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(left.path, here)
    there.mkdir()
    shutil.copy(here / "meta.properties", there)
    (here / "plain-2").rename(there / "plain-2")
    alone = bring_in(here, tmp_path / "alone")
    assert any("plain: no log is here for partition 2" in warning for warning in alone["warnings"])
    assert verified(tmp_path / "alone")
    result = CliRunner().invoke(main, ["import-kafka", str(here), str(there), str(tmp_path / "data"), "--json"])
    assert result.exit_code == 0, result.output
    together = json.loads(result.stdout)
    assert not any("plain" in warning for warning in together["warnings"])
    assert together["records"] == bring_in(left.path, tmp_path / "whole")["records"]


def test_an_import_that_did_not_end_is_no_data_directory(left: Left, tmp_path: Path) -> None:
    target = tmp_path / "data"
    (target / "import.partial" / "plain-0").mkdir(parents=True)
    assert "an import that did not end" in refused(left.path, target)
    server = ServerProcess(target).spawn()
    assert server.ended() == 1
    assert "is not empty and has no meta.properties" in "".join(server.errors)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_what_a_killed_kafka_left_is_whole(tmp_path: Path) -> None:
    KAFKA_TOOLS.need()
    with KafkaProcess(JARS, tmp_path / "kafka", KAFKA_SETTINGS, keeps_data=True) as kafka:
        kafka_data.fill(kafka.address, RECORDS)
        held = kafka_data.held(kafka.address)
        kafka.kill()
        data = kafka.data
    assert not (data / ".kafka_cleanshutdown").exists()
    bring_in(data, tmp_path / "data")
    assert verified(tmp_path / "data")
    with ServerProcess(tmp_path / "data") as server:
        found = kafka_data.held(server.kafka)
        # A compaction may have gone on between the question and the kill.
        mine = {key: record for key, record in found.records.items() if key[0] != "compacted"}
        assert mine == {key: record for key, record in held.records.items() if key[0] != "compacted"}
        assert (found.positions, found.topic_ids, found.settings) == (held.positions, held.topic_ids, held.settings)
        kafka_data.go_on(server.kafka)
        assert server.stop() == 0
    assert verified(tmp_path / "data")


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["import-kafka", *map(str, arguments)])
    assert result.exit_code == 1, result.output
    return result.stderr


def test_a_directory_that_is_in_use_is_refused(left: Left, tmp_path: Path) -> None:
    source = tmp_path / "kafka"
    shutil.copytree(left.path, source)
    (source / ".lock").touch()
    command = [sys.executable, "-c", HOLDER, str(source / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ok\n"
        assert "in use: stop the Kafka broker first" in refused(source, tmp_path / "data")
        process.communicate(b"\n")
    assert not (tmp_path / "data").exists()


def test_what_can_not_be_is_refused_in_a_sentence(tmp_path: Path) -> None:
    kafka, full = tmp_path / "kafka", tmp_path / "full"
    assert "There is no directory" in refused(kafka, tmp_path / "data")
    kafka.mkdir()
    assert "has no meta.properties" in refused(kafka, tmp_path / "data")
    full.mkdir()
    (full / "letter").write_text("Dear Ada")
    assert "is not empty (it holds 'letter')" in refused(kafka, full)
    (kafka / "meta.properties").write_text("logserver.format=1\n")
    assert "is a data directory of this server already" in refused(kafka, tmp_path / "data")


def test_serve_on_a_kafka_directory_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=1\n")
    server = ServerProcess(tmp_path).spawn()
    assert server.ended() == 1
    assert f"`logserver import-kafka {tmp_path} NEW_DIRECTORY`" in "".join(server.errors)
