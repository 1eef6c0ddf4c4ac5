"""The commands of docs/verify.md do what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..daemon.processes import ServerProcess
from . import stored

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / "verify.md").read_text(), re.MULTILINE | re.DOTALL)
CHECK, REPAIR, DUMP, IMPORT = BLOCKS
FIRST = "00000000000000000000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a server has been, with the topic of the page."""
    folder = tmp_path_factory.mktemp("page")
    with ServerProcess(folder / "logserver-data", settings=stored.SETTINGS) as server:
        stored.create(server, "greetings", 1)
        stored.send(server, "greetings", [f"hello {number}" for number in range(1_000)])
        assert server.stop() == 0
    return folder


def run(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return subprocess.run(
        ["bash", "-euc", text], cwd=folder, env={"PATH": path}, capture_output=True, text=True, timeout=60
    )


def test_a_directory_is_checked_and_looked_into(folder: Path) -> None:
    done = run(folder, CHECK)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(": nothing is wrong.\n")
    done = run(folder, DUMP)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count('value "hello ') == 1_000
    assert '"type": "batch"' in done.stdout and "offset of a partition: topic" in done.stdout


def test_a_directory_is_repaired(folder: Path) -> None:
    path = folder / "logserver-data" / "greetings-0" / f"{FIRST}.log"
    content = bytearray(path.read_bytes())
    content[70] ^= 1
    path.write_bytes(content)
    assert run(folder, CHECK).returncode == 1
    done = run(folder, REPAIR)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"{FIRST}.log.cut-0" in done.stdout
    assert (folder / "backup" / "greetings-0" / f"{FIRST}.log").read_bytes() == bytes(content)
    assert run(folder, CHECK).returncode == 0


def test_the_way_from_kafka_begins_with_the_import(folder: Path) -> None:
    importing, serving = IMPORT.splitlines()
    assert serving == "logserver serve --data-dir new-data"
    kafka = folder / "kafka-data"
    kafka.mkdir()
    (kafka / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=1\n")
    done = run(folder, importing)
    assert done.returncode == 0, done.stderr
    assert "topics get default settings" in done.stderr
    assert "Start the server with `logserver serve --data-dir new-data`." in done.stdout
    with ServerProcess(folder / "new-data") as server:
        assert server.stop() == 0
