"""`logserver dump` on every file that real servers leave."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from logserver.cli import main

from . import stored

FIRST = "00000000000000000000"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a stopped server has left; not to be changed."""
    return stored.make(tmp_path_factory.mktemp("stopped") / "data", is_killed=False)


def dump(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["dump", str(path), *options])


def documents(path: Path, *options: str) -> list[dict[str, Any]]:
    """Returns what it prints with --json."""
    result = dump(path, "--json", *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def of(kind: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [document for document in found if document["type"] == kind]


def test_every_file_can_be_dumped(stopped: Path) -> None:
    # What a compaction was writing when the server stopped is no file of the log yet; the next start removes it.
    files = [
        path
        for path in stopped.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".cleaned"
    ]
    assert len({path.suffix for path in files}) >= 6
    for path in files:
        found = documents(path)
        assert not of("damage", found), path
        assert not any("unreadable" in str(document.get("meaning")) for document in found), path
        # For people there is a line for each, and one more for what is decoded.
        lines = dump(path).stdout.splitlines()
        assert len(lines) == len(found) + sum("meaning" in document for document in found)


def test_a_segment_is_batches_and_records(stopped: Path) -> None:
    records = 0
    for path in sorted(stopped.glob("plain-*/*.log")):
        found = documents(path)
        position = 0
        for batch in of("batch", found):
            assert batch["position"] == position
            position += batch["size"]
        assert position == path.stat().st_size
        assert sum(batch["records"] for batch in of("batch", found)) == len(of("record", found))
        records += len(of("record", found))
        assert documents(path, "--batches") == of("batch", found)
    assert records == stored.RECORDS
    (first, *_) = of("record", documents(next(stopped.glob(f"plain-0/{FIRST}.log"))))
    assert (first["offset"], first["key"][0], first["value"][:2], first["headers"]) == (0, "k", "00", [])


def test_index_entries_name_batches(stopped: Path) -> None:
    log = stopped / "plain-0" / f"{FIRST}.log"
    positions = {batch["position"]: batch["last_offset"] for batch in documents(log, "--batches")}
    entries = documents(log.with_suffix(".index"))
    assert entries
    assert all(positions[entry["position"]] == entry["offset"] for entry in entries)
    times = documents(log.with_suffix(".timeindex"))
    assert times[-1]["timestamp"] == max(batch["max_timestamp"] for batch in documents(log, "--batches"))


def test_transactions_are_told(stopped: Path) -> None:
    folder = stopped / "transactional-0"
    found = documents(folder / f"{FIRST}.log")
    markers = [record["meaning"]["marker"] for record in of("record", found) if "meaning" in record]
    assert markers == ["abort", "commit", "commit"] * 3
    aborted = documents(folder / f"{FIRST}.txnindex")
    assert [entry["type"] for entry in aborted] == ["aborted transaction"] * 3
    (producer,) = documents(sorted(folder.glob("*.snapshot"))[-1])
    assert producer["transaction_first_offset"] > aborted[-1]["last_offset"]


def test_records_of_the_server_itself_are_told_with_what_they_mean(stopped: Path) -> None:
    meanings = [
        record.get("meaning") for path in stopped.glob("__*-*/*.log") for record in of("record", documents(path))
    ]
    text = json.dumps(meanings)
    assert '"OffsetCommitKey": {"group": "readers", "topic": "plain"' in text
    assert '"transactional_id": "copier"' in text and '"state": "ONGOING"' in text
    assert '"partitions": 2' in text and '"segment.bytes"' in text


def test_damage_is_named_and_passed_by(stopped: Path, tmp_path: Path) -> None:
    content = bytearray((stopped / "plain-0" / f"{FIRST}.log").read_bytes())
    path = tmp_path / f"{FIRST}.log"
    path.write_bytes(content)
    batches = documents(path, "--batches")
    content[batches[1]["position"] + 70] ^= 1
    path.write_bytes(content)
    found = documents(path, "--batches")
    assert found == [
        batches[0],
        {
            "type": "damage",
            "position": batches[1]["position"],
            "size": batches[1]["size"],
            "reason": found[1]["reason"],
        },
        *batches[2:],
    ]
    snapshot = tmp_path / f"{FIRST}.snapshot"
    snapshot.write_bytes(b"\x00\x01garbage garbage")
    assert "bytes that are damaged: the CRC is wrong" in dump(snapshot).stdout


def test_what_can_not_be_dumped_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_text("Dear Ada")
    result = dump(path)
    assert result.exit_code == 1
    assert "is no file that can be dumped" in result.stderr
    assert dump(tmp_path / "none").exit_code == 2
