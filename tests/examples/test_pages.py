"""The programs and tests in the pages about Kafka clients run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from logserver.testing import LogServer

from .programs import ROOT, TIMEOUT_S


def programs(page: str) -> list[str]:
    """The Python programs of a page."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", range(4))
def test_a_program_for_a_kafka_client_runs(server: LogServer, tmp_path: Path, number: int) -> None:
    program = programs("kafka-clients.md")[number].replace("127.0.0.1:9092", server.kafka)
    run([sys.executable, "-c", program], tmp_path)


def test_tests_for_other_people_s_code_pass(tmp_path: Path) -> None:
    tests = programs("testing.md")
    assert len(tests) == 7
    for number, program in enumerate(tests):
        assert "def test_" in program
        (tmp_path / f"test_{number}.py").write_text(program)
    run([sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", "."], tmp_path)
