"""Every command and program in README.md runs, from the top to the bottom, in a fresh copy of the sources.

`sh` blocks run in bash and `python` blocks in the environment that the page tells to make; a `text` block is what the
block before it prints. A server that the page starts in a terminal of its own runs in the background, on free ports in
the place of the default ones. The `make` targets are not run here, but must exist: CI runs them.
"""

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, Distribution
from .markdown import Block, blocks, matches

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_KAFKA_ADDRESS = "127.0.0.1:9092"
TIMEOUT_S = 120


class Reader:
    """A newcomer with the page in one hand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: subprocess.Popen[str] | None = None
        self._address = DEFAULT_ADDRESS
        self._kafka_address = DEFAULT_KAFKA_ADDRESS
        ours = ("PYTHON", "VIRTUAL_ENV", "LOGSERVER_")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environment["PATH"] = f"{folder / 'venv' / 'bin'}:{self._environment['PATH']}"

    def follow(self, block: Block) -> str:
        """Does what a block says; returns what it printed on standard output."""
        if block.text.startswith("logserver serve"):
            return self._serve(block.text)
        if block.language == "sh":
            return self._run(["bash", "-euo", "pipefail", "-c", block.text])
        if "def test_" in block.text:
            path = self._folder / "test_example.py"
            path.write_text(block.text)
            return self._run([sys.executable, "-m", "pytest", "-q", "--rootdir", str(self._folder), str(path)])
        program = block.text.replace(DEFAULT_ADDRESS, self._address).replace(DEFAULT_KAFKA_ADDRESS, self._kafka_address)
        return self._run(["python", "-c", program])

    def close(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    def _serve(self, command: str) -> str:
        self._environment["LOGSERVER_GRPC_LISTENERS"] = self._environment["LOGSERVER_LISTENERS"] = "127.0.0.1:0"
        self._server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        ready = self._server.stdout.readline()
        found = re.fullmatch(r"ready grpc=(\S+) kafka=(\S+)\n", ready)
        assert found, f"not ready: {ready!r}"
        self._address = self._environment["LOGSERVER_SERVER"] = found[1]
        self._kafka_address = found[2]
        return ready.replace(found[1], DEFAULT_ADDRESS).replace(found[2], DEFAULT_KAFKA_ADDRESS)

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path, distribution: Distribution) -> Iterator[Reader]:
    with tarfile.open(distribution.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    reader = Reader(next(path for path in tmp_path.iterdir() if path.is_dir()))
    yield reader
    reader.close()


@pytest.mark.timeout(600)
def test_everything_in_the_readme_runs(reader: Reader) -> None:
    output = ""
    for block in blocks(ROOT / "README.md"):
        where = f"README.md, line {block.line}"
        if block.language == "text":
            assert matches(block.text, output), f"{where}: expected\n{block.text}\nbut it printed\n{output}"
        elif block.text.startswith("make "):
            subprocess.run(["make", "--dry-run", *re.findall(r"^make (\S+)", block.text, re.M)], cwd=ROOT, check=True)
        elif block.language in {"sh", "python"}:
            print(where, flush=True)
            output = reader.follow(block)


def test_the_page_shows_what_this_reader_can_follow() -> None:
    assert {block.language for block in blocks(ROOT / "README.md")} <= {"sh", "python", "text", "toml"}


def test_an_output_may_be_shortened() -> None:
    assert matches("a\n...\nd\n", "a\nb\nc\nd\n")
    assert matches("a\n", "a")
    assert not matches("a\n...\nd\n", "a\nb\nc\n")
    assert not matches("a.c\n", "abc\n")
    assert matches("a...d\n", "abcd\n")
    assert not matches("a...d\n", "ab\ncd\n")
