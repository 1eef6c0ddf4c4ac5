"""`logserver verify` on directories that real servers have left, as they are and damaged in every way."""

import ctypes
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from logserver_records.batch import CRC_START, HEADER_SIZE, read_header, stamp
from logserver_records.codec import build_batch, decode_batch
from logserver_segments.checkpoints import CLEANED, LEADER_EPOCHS, CheckpointDamaged, LeaderEpochs, parse_offsets
from logserver_segments.producer_snapshot import pack_snapshot

from logserver.cli import main

from ..daemon.processes import ServerProcess
from . import stored
from .terminal import shown

PLAIN: Final = "plain-0"
FIRST: Final = "00000000000000000000"
_BIND: Final = 0x1000
_READ_ONLY: Final = 0x21
"""Of mount(2): read-only, to be changed of what is mounted."""
_DETACH: Final = 2


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a stopped server has left; not to be changed."""
    return stored.make(tmp_path_factory.mktemp("stopped") / "data", is_killed=False)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a killed server has left; not to be changed."""
    return stored.make(tmp_path_factory.mktemp("killed") / "data", is_killed=True)


@pytest.fixture
def data(stopped: Path, tmp_path: Path) -> Path:
    """A directory of a stopped server, to be damaged."""
    return stored.copy(stopped, tmp_path / "data")


def verify(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Returns exit code and document."""
    result = CliRunner().invoke(main, ["verify", str(path), "--json", *options])
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout)


def findings(path: Path) -> list[dict[str, Any]]:
    """Returns the findings, and checks that the exit code fits them."""
    code, document = verify(path)
    assert code == bool(document["findings"])
    found: list[dict[str, Any]] = document["findings"]
    return found


def mend(path: Path) -> dict[str, Any]:
    """Repairs, and checks that nothing is left."""
    code, document = verify(path, "--repair")
    assert code == 0, document
    assert verify(path)[0] == 0
    return document


def batches(path: Path) -> list[tuple[int, Any]]:
    """Returns position and header of each batch of a segment file."""
    content, position, found = path.read_bytes(), 0, []
    while position < len(content):
        header = read_header(content, position)
        found.append((position, header))
        position += header.size
    return found


def change(path: Path, position: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)


def flip(path: Path, position: int) -> None:
    change(path, position, bytes([path.read_bytes()[position] ^ 1]))


# Nothing is wrong


def test_what_a_stopped_server_leaves_is_fine(stopped: Path) -> None:
    code, document = verify(stopped)
    assert (code, document["findings"]) == (0, [])
    # A compaction that the stop cut short has left something, perhaps.
    assert [note for note in document["notes"] if "left by work under way" not in note["text"]] == []
    assert document["clean_stop"]
    assert document["records"] > stored.RECORDS


def test_what_a_killed_server_leaves_is_fine(killed: Path) -> None:
    code, document = verify(killed)
    assert (code, document["findings"], document["clean_stop"]) == (0, [], False)


def test_several_processes_find_the_same_as_one(stopped: Path) -> None:
    one, many = verify(stopped, "--jobs", "1")[1], verify(stopped, "--jobs", "3")[1]
    for document in (one, many):
        del document["seconds"]
    assert one == many


def test_it_says_so_in_a_line(stopped: Path) -> None:
    result = CliRunner().invoke(main, ["verify", str(stopped)])
    assert (result.exit_code, len([line for line in result.stdout.splitlines() if ": note: " not in line])) == (0, 1)
    assert result.stdout.endswith(": nothing is wrong.\n")


def test_who_looks_sees_how_far_it_is(stopped: Path) -> None:
    assert re.search(r"Checking .*100%", shown("verify", stopped), re.DOTALL)
    assert re.search(r"Reading .*100%", shown("dump", stopped / PLAIN / f"{FIRST}.log", "--json"), re.DOTALL)


# What can't be checked


def refused(path: Path) -> str:
    result = CliRunner().invoke(main, ["verify", str(path)])
    assert result.exit_code == 2
    return result.stderr


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data"):
        assert "in use by" in refused(tmp_path / "data")


def test_a_directory_that_is_none_is_not_made(tmp_path: Path) -> None:
    assert "There is no directory" in refused(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Ada")
    assert "has no meta.properties, so it is not the data directory of a server" in refused(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_an_empty_directory_is_left_empty(tmp_path: Path) -> None:
    assert "has no meta.properties" in refused(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_empty_path_is_not_the_root(tmp_path: Path) -> None:
    for command in (["verify", ""], ["import-kafka", "", str(tmp_path)], ["import-kafka", str(tmp_path), ""]):
        result = CliRunner().invoke(main, command)
        assert (result.exit_code, "it is empty" in result.stderr) == (2, True)


def test_a_directory_that_is_named_twice_is_not_taken_for_one_in_use(stopped: Path) -> None:
    result = CliRunner().invoke(main, ["verify", str(stopped), f"{stopped}/."])
    assert (result.exit_code, result.stderr) == (2, "Error: A directory is named twice.\n")


def run_without_rights(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a command as the owner of its files who is not above their modes, also where that is root."""
    command = [sys.executable, "-m", "logserver", *map(str, arguments)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root can give up its rights by setpriv only")
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_who_may_only_read_can_check(stopped: Path, tmp_path: Path) -> None:
    data = stored.copy(stopped, tmp_path / "data")
    for path in (*data.rglob("*"), data):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        done = run_without_rights("verify", data)
        assert (done.returncode, done.stderr) == (0, "")
        done = run_without_rights("verify", data, "--repair")
        assert (done.returncode, done.stderr) == (2, f"Error: {data} can't be looked at: Permission denied.\n")
    finally:
        for path in (data, *data.rglob("*")):
            path.chmod(0o700)


def test_who_may_not_even_look_is_told_in_a_sentence(stopped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    data = stored.copy(stopped, folder / "data")
    folder.chmod(0)
    try:
        for command in (["verify", data], ["import-kafka", data, tmp_path / "new"], ["import-kafka", stopped, data]):
            done = run_without_rights(*command)
            assert done.returncode == (2 if command[0] == "verify" else 1)
            assert "Permission denied" in done.stderr and len(done.stderr.splitlines()) == 1
    finally:
        folder.chmod(0o700)


def test_a_directory_of_kafka_is_told_where_to_go(tmp_path: Path) -> None:
    (tmp_path / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=1\n")
    assert f"logserver import-kafka {tmp_path}" in refused(tmp_path)


# Damage to batches


@pytest.mark.parametrize("where", ["crc", "records", "length", "magic", "base offset"])
def test_a_damaged_batch_is_cut_out_and_the_others_stay(data: Path, where: str) -> None:
    path = data / PLAIN / f"{FIRST}.log"
    found = batches(path)
    position, header = found[2]
    at = {"crc": CRC_START - 1, "records": HEADER_SIZE + 5, "length": 9, "magic": 16, "base offset": 0}[where]
    original = path.read_bytes()
    flip(path, position + at)
    damaged = path.read_bytes()[position : position + header.size]

    (finding,) = findings(data)
    assert (finding["path"], finding["position"]) == (str(path), position)
    lost = f"offsets {header.base_offset} to {header.last_offset}"
    assert lost in finding["problem"] and lost in finding["repair"]

    (side_file,) = mend(data)["side_files"]
    assert Path(side_file).read_bytes() == damaged
    assert side_file == f"{path}.cut-{position}"
    kept = path.read_bytes()
    assert kept.startswith(original[:position]) and kept.endswith(original[position + header.size :])
    before = {offset for part in (found[:2], found[3:]) for _, one in part for offset in range(one[0], one.next_offset)}
    with ServerProcess(data) as server:
        read = {offset for partition, offset in stored.values(server, "plain") if partition == 0}
        assert read >= before
        assert not read & set(range(header.base_offset, header.next_offset))
        assert server.stop() == 0
    assert verify(data)[0] == 0


def test_damage_that_hides_the_next_batch_is_searched_through(data: Path) -> None:
    path = data / PLAIN / f"{FIRST}.log"
    (start, first), (_, _), (end, third) = batches(path)[1:4]
    change(path, start, bytes(random.Random(1).randbytes(end - start)))
    (finding,) = findings(data)
    assert finding["position"] == start
    assert f"moves {end - start:,} bytes" in finding["repair"]
    assert f"offsets {first.base_offset} to {third.base_offset - 1}" in finding["repair"]
    mend(data)


def test_a_length_that_lies_takes_no_more_memory_than_the_file_has(data: Path) -> None:
    path = data / PLAIN / f"{FIRST}.log"
    position, _ = batches(path)[1]
    change(path, position + 8, (0x7FFFFFF0).to_bytes(4, "big"))
    (finding,) = findings(data)
    assert finding["position"] == position
    mend(data)


def test_a_tail_that_a_clean_stop_does_not_explain_is_kept_aside(data: Path) -> None:
    path = sorted((data / PLAIN).glob("*.log"))[-1]
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"torn")
    (finding,) = findings(data)
    assert finding["position"] == size
    (side_file,) = mend(data)["side_files"]
    assert Path(side_file).read_bytes() == b"torn"
    assert path.stat().st_size == size


def test_a_tail_that_is_gone_leaves_its_offsets_taken(data: Path) -> None:
    path = sorted((data / PLAIN).glob("*.log"))[-1]
    end = parse_offsets((data / "recovery-point-offset-checkpoint").read_bytes())["plain", 0]
    position, header = batches(path)[-1]
    with path.open("r+b") as file:
        file.truncate(position)
    (finding,) = findings(data)
    assert f"offsets {header.base_offset} to {end - 1} are missing" in finding["problem"]
    mend(data)
    with ServerProcess(data) as server:
        assert server.stop() == 0
    assert parse_offsets((data / "recovery-point-offset-checkpoint").read_bytes())["plain", 0] == end


def test_a_segment_that_is_gone_is_missed(data: Path) -> None:
    first, second = sorted((data / PLAIN).glob("*.log"))[:2]
    behind = sorted((data / PLAIN).glob("*.log"))[2]
    for suffix in (".log", ".index", ".timeindex"):
        second.with_suffix(suffix).unlink()
    (finding,) = findings(data)
    assert (finding["path"], finding["position"]) == (str(first), first.stat().st_size)
    assert f"offsets {int(second.stem)} to {int(behind.stem) - 1} are missing" in finding["problem"]
    mend(data)


def test_offsets_may_be_missing_in_a_compacted_topic(data: Path) -> None:
    positions = [header for path in (data / "compacted-0").glob("*.log") for _, header in batches(path)]
    assert any(header.record_count < header.last_offset_delta + 1 for header in positions)
    assert findings(data) == []


def test_two_batches_of_the_same_offsets(data: Path) -> None:
    path = data / PLAIN / f"{FIRST}.log"
    (position, header), (_, before) = batches(path)[2], batches(path)[1]
    change(path, position, stamp(header, before.base_offset, header.leader_epoch))
    (finding,) = findings(data)
    assert finding["position"] == position
    assert f"base offset {before.base_offset} where {header.base_offset} or more was expected" in finding["problem"]
    mend(data)


# Damage to what is derived from the batches


def damage_index(data: Path) -> tuple[Path, int]:
    path = data / PLAIN / f"{FIRST}.index"
    flip(path, 8 + 7)
    return path, 8


def damage_index_offset(data: Path) -> tuple[Path, int]:
    path = data / PLAIN / f"{FIRST}.index"
    flip(path, 8 + 3)
    return path, 8


def damage_time_index(data: Path) -> tuple[Path, int]:
    path = data / PLAIN / f"{FIRST}.timeindex"
    flip(path, 7)
    return path, 0


def lose_index(data: Path) -> tuple[Path, None]:
    path = data / PLAIN / f"{FIRST}.index"
    path.unlink()
    return path, None


def damage_transaction_index(data: Path) -> tuple[Path, int]:
    path = data / "transactional-0" / f"{FIRST}.txnindex"
    flip(path, 34 + 17)
    return path, 34


def lose_transaction_index(data: Path) -> tuple[Path, None]:
    path = data / "transactional-0" / f"{FIRST}.txnindex"
    path.unlink()
    return path, None


def damage_snapshot(data: Path) -> tuple[Path, None]:
    path = sorted((data / PLAIN).glob("*.snapshot"))[0]
    flip(path, 20)
    return path, None


def stale_snapshot(data: Path) -> tuple[Path, None]:
    old, path = sorted((data / PLAIN).glob("*.snapshot"))[:2]
    shutil.copy(old, path)
    return path, None


def forget_open_transaction(data: Path) -> tuple[Path, None]:
    path = sorted((data / "transactional-0").glob("*.snapshot"))[-1]
    path.write_bytes(pack_snapshot([]))
    return path, None


def damage_epochs(data: Path) -> tuple[Path, None]:
    path = data / PLAIN / "leader-epoch-checkpoint"
    path.write_text("0\n1\n7 0\n")
    return path, None


def lose_epochs(data: Path) -> tuple[Path, None]:
    path = data / PLAIN / "leader-epoch-checkpoint"
    path.unlink()
    return path, None


def move_recovery_point(data: Path) -> tuple[Path, None]:
    path = data / "recovery-point-offset-checkpoint"
    lines = path.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith("plain 0 "))
    lines[number] = "plain 0 5"
    path.write_text("\n".join([*lines, ""]))
    return path, None


def damage_recovery_points(data: Path) -> tuple[Path, None]:
    path = data / "recovery-point-offset-checkpoint"
    path.write_bytes(path.read_bytes()[:-3])
    return path, None


def move_log_start(data: Path) -> tuple[Path, None]:
    path = data / "log-start-offset-checkpoint"
    path.write_text("0\n1\nplain 0 999999\n")
    return path, None


def another_topic_id(data: Path) -> tuple[Path, None]:
    path = data / PLAIN / "partition.metadata"
    path.write_text("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAg")
    return path, None


@pytest.mark.parametrize(
    "damage",
    [
        damage_index,
        damage_index_offset,
        damage_time_index,
        lose_index,
        damage_transaction_index,
        lose_transaction_index,
        damage_snapshot,
        stale_snapshot,
        forget_open_transaction,
        damage_epochs,
        lose_epochs,
        move_recovery_point,
        damage_recovery_points,
        move_log_start,
        another_topic_id,
    ],
)
def test_what_is_derived_is_made_again(data: Path, damage: Callable[[Path], tuple[Path, int | None]]) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*.log")}
    path, position = damage(data)
    (finding,) = findings(data)
    assert (finding["path"], finding["position"]) == (str(path), position)
    assert mend(data)["side_files"] == []
    assert {path: path.read_bytes() for path in data.rglob("*.log")} == before


def test_an_aborted_transaction_stays_aborted_after_repair(data: Path) -> None:
    with ServerProcess(data) as server:
        committed = stored.values(server, "transactional", "read_committed")
        server.stop()
    lose_transaction_index(data)
    mend(data)
    with ServerProcess(data) as server:
        assert stored.values(server, "transactional", "read_committed") == committed
        server.stop()


def test_a_log_of_another_topic_is_set_aside(data: Path) -> None:
    another_topic_id(data)
    move_recovery_point(data)
    assert {finding["path"] for finding in findings(data)} >= {str(data / PLAIN / "partition.metadata")}
    (aside,) = mend(data)["side_files"]
    assert aside.endswith("-stray") and (Path(aside) / f"{FIRST}.log").stat().st_size > 0


def test_a_topic_whose_log_is_gone(data: Path) -> None:
    shutil.rmtree(data / PLAIN)
    code, document = verify(data, "--repair")
    assert code == 1
    assert [(one["path"], one["repaired"]) for one in document["findings"]] == [(str(data / PLAIN), False)]


# Logs of the server itself


@pytest.mark.parametrize("topic", ["__consumer_offsets", "__transaction_state"])
def test_a_record_that_nobody_can_read_is_taken_out_of_its_batch(data: Path, topic: str) -> None:
    path = next(path for path in data.glob(f"{topic}-*/{FIRST}.log") if path.stat().st_size)
    position, header = batches(path)[0]
    content = path.read_bytes()
    (record, *_) = decode_batch(content, position, max_decompressed_bytes=1 << 20)
    bad = build_batch(
        [(record.timestamp_ms, record.key, b"\x00\x00 no such value", ())],
        base_offset=header.base_offset,
        leader_epoch=header.leader_epoch,
        is_transactional=header.is_transactional,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
    )
    path.write_bytes(content[:position] + bad + content[position + header.size :])
    for index in (path.with_suffix(".index"), path.with_suffix(".timeindex")):
        index.unlink(missing_ok=True)
    found = [finding for finding in findings(data) if finding["path"] == str(path)]
    assert found[0]["position"] == position
    assert f"the record at offset {header.base_offset}: " in found[0]["problem"]
    assert f"{path}.cut-{position}" in mend(data)["side_files"]


def test_a_group_in_the_wrong_partition_is_noticed(data: Path) -> None:
    there = sorted(data.glob("__consumer_offsets-*"), key=lambda path: (path / f"{FIRST}.log").stat().st_size)
    empty, full = there[0], there[-1]
    (empty / f"{FIRST}.log").write_bytes((full / f"{FIRST}.log").read_bytes())
    found = [
        one["problem"] for one in findings(data) if one["path"].startswith(str(empty)) and "belongs" in one["problem"]
    ]
    assert found and f"belongs to partition {full.name.rpartition('-')[2]}" in found[0]


def test_without_the_metadata_log_there_is_no_saying_what_topics_there_are(data: Path) -> None:
    shutil.rmtree(data / "__logserver_metadata-0")
    result = CliRunner().invoke(main, ["verify", str(data), "--repair"])
    assert result.exit_code == 1
    assert "no directory has this log, which says what topics there are" in result.stdout


# Several directories


def test_the_directories_of_a_server_are_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with ServerProcess(Path(f"{one},{two}")) as server:
        stored.create(server, "spread", 6)
        server.stop()
    logs = {path.name for folder in (one, two) for path in folder.iterdir() if path.name.startswith("spread-")}
    assert len(logs) == 6
    assert CliRunner().invoke(main, ["verify", str(one), str(two)]).exit_code == 0
    alone = CliRunner().invoke(main, ["verify", str(one)])
    assert alone.exit_code == 0
    assert f"other directories, which were not looked at: {two}" in alone.stdout


# After a kill


def test_a_torn_tail_behind_the_recovery_point_is_no_finding(killed: Path, tmp_path: Path) -> None:
    data = stored.copy(killed, tmp_path / "data")
    path = sorted((data / PLAIN).glob("*.log"))[-1]
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(100))
    code, document = verify(data)
    assert code == 0
    assert {"path": str(path), "text": document["notes"][-1]["text"]} in document["notes"] or any(
        note["path"] == str(path) and f"position {size}" in note["text"] for note in document["notes"]
    )


def test_a_whole_batch_behind_a_torn_one_is_a_finding(killed: Path, tmp_path: Path) -> None:
    data = stored.copy(killed, tmp_path / "data")
    (data / "recovery-point-offset-checkpoint").unlink()
    path = sorted((data / PLAIN).glob("*.log"))[-1]
    position, header = batches(path)[0]
    flip(path, position + HEADER_SIZE)
    (finding,) = findings(data)
    assert finding["position"] == position
    (side_file,) = mend(data)["side_files"]
    assert Path(side_file).stat().st_size == header.size


def test_leader_epochs_may_begin_where_the_log_was_about_to(killed: Path, stopped: Path, tmp_path: Path) -> None:
    for source in (killed, stopped):
        data = stored.copy(source, tmp_path / source.parent.name)
        (data / PLAIN / "leader-epoch-checkpoint").write_text("0\n1\n0 300\n")
        assert findings(data) == []


# At random


def mutations(source: Path, seed: int) -> Iterator[tuple[str, Path, bytes | None]]:
    """Yields what was done, where, and the new content (None: removed), for ever."""
    rng = random.Random(seed)
    small = {"partition.metadata", "meta.properties", ".kafka_cleanshutdown"}
    files = sorted(path for path in source.rglob("*") if path.is_file() and path.stat().st_size)
    # What a compaction that a stop interrupted has left counts for nothing.
    files = [path for path in files if path.name not in small and path.suffix != ".cleaned"]
    while True:
        path = rng.choice(files)
        content = bytearray(path.read_bytes())
        at = rng.randrange(len(content))
        kind = rng.choice(["flip", "cut", "zero", "grow", "remove"])
        if kind == "flip":
            content[at] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del content[at:]
        elif kind == "zero":
            content[at : at + rng.randrange(1, 3000)] = bytes(len(content[at : at + rng.randrange(1, 3000)]))
        elif kind == "grow":
            content += bytes(rng.randrange(1, 200))
        if content != path.read_bytes() or kind == "remove":
            yield f"{kind} at {at}", path.relative_to(source), None if kind == "remove" else bytes(content)


def is_harmless(path: Path, before: bytes, content: bytes | None, is_active: bool) -> bool:
    """Whether a file may be lost, or shorter by whole entries: the server works as well without them."""
    if path.suffix == ".snapshot":
        # Of zeros it is as good as lost, and told in a note.
        return content is None or not content.strip(b"\x00")
    if path.suffix == ".index":
        return (content is None and is_active) or (content is not None and len(content) % 8 == 0)
    if path.suffix == ".timeindex":
        return is_active and (content is None or len(content) % 12 == 0)
    if path.name == LEADER_EPOCHS and content is not None:
        # Segments from before the first one may have come back in a power cut.
        return begins_later(before, content)
    if path.name == CLEANED and content is not None:
        # Of what is compacted it says only where; who believes it too much or too little compacts less or more.
        return can_be_read(content)
    return path.name.endswith("-checkpoint") and content is None


def can_be_read(offsets: bytes) -> bool:
    try:
        parse_offsets(offsets)
    except CheckpointDamaged:
        return False
    return True


def begins_later(before: bytes, content: bytes) -> bool:
    """Whether all that differs between two files of leader epochs is that the first one begins later."""
    was, found = LeaderEpochs(), LeaderEpochs()
    was.load(before)
    try:
        found.load(content)
    except CheckpointDamaged:
        return False
    (epoch, start), *others = was.entries()
    return found.entries()[1:] == others and found.entries()[0][0] == epoch and found.entries()[0][1] > start


@pytest.mark.parametrize(
    ("count", "seed"), [(40, 1), pytest.param(1500, 2, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_whatever_is_done_to_any_file_is_found_and_repaired(
    stopped: Path, tmp_path: Path, count: int, seed: int
) -> None:
    data = stored.copy(stopped, tmp_path / "data")
    last = {max(folder.glob("*.log")).stem for folder in data.iterdir() if list(folder.glob("*.log"))}
    done = mutations(stopped, seed)
    for _ in range(count):
        what, path, content = next(done)
        if content is None:
            (data / path).unlink()
        else:
            (data / path).write_bytes(content)
        before = (stopped / path).read_bytes()
        code, document = verify(data)
        assert code == 1 or is_harmless(path, before, content, path.stem in last), f"seed {seed}: {what} of {path}"
        # Which topics there are stands in one place; damage to that is told, and can't be undone.
        if "__logserver_metadata" not in str(path):
            code, document = verify(data, "--repair")
            assert code == 0, (f"seed {seed}: {what} of {path}", document)
        shutil.rmtree(data)
        stored.copy(stopped, data)


def test_the_command_as_users_run_it(data: Path) -> None:
    flip(data / PLAIN / f"{FIRST}.log", 100)
    done = subprocess.run(
        [sys.executable, "-m", "logserver", "verify", str(data)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert f"{data}/{PLAIN}/{FIRST}.log, position 0: record batch with a wrong CRC" in done.stdout
    assert "    repair moves " in done.stdout
    assert done.stderr == ""


def test_a_directory_that_can_not_be_written_to_can_be_checked(stopped: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    source, target = os.fsencode(stopped), os.fsencode(mounted)
    if libc.mount(source, target, None, _BIND, None) or libc.mount(None, target, None, _BIND | _READ_ONLY, None):
        pytest.skip(f"mounting is not allowed here: {os.strerror(ctypes.get_errno())}")
    try:
        assert verify(mounted)[0] == 0
        result = CliRunner().invoke(main, ["dump", str(mounted / PLAIN / f"{FIRST}.log"), "--batches"])
        assert result.exit_code == 0
    finally:
        libc.umount2(target, _DETACH)
